//! Explanations of the figures of a page.

/// A figure with its explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) term: &'static str,
    pub(crate) text: &'static str,
}

/// The figures that are explained, found by the beginning of their names in lower case.
const MEANINGS: [(&str, Meaning); 19] = [
    (
        "recall@",
        Meaning {
            term: "Recall@K",
            text: "the share of queries with at least one item of their class among the K nearest",
        },
    ),
    (
        "r-precision",
        Meaning {
            term: "R-precision",
            text: "the share of the R nearest that are of the query's class; R is the number of other items in that class",
        },
    ),
    (
        "map@r",
        Meaning {
            term: "MAP@R",
            text: "as R-precision, but right items count more the earlier they come; the strictest of these figures",
        },
    ),
    ("map", Meaning { term: "mAP", text: "mean average precision over the whole ranking" }),
    ("mrr", Meaning { term: "MRR", text: "the mean of 1 / rank of the first right item" }),
    (
        "ndcg",
        Meaning {
            term: "NDCG",
            text: "the discounted gain of the right items by rank, over that of a perfect ranking",
        },
    ),
    (
        "rank",
        Meaning {
            term: "Rank-K",
            text: "the share of queries with a right item among the first K",
        },
    ),
    (
        "minp",
        Meaning {
            term: "mINP",
            text: "how early the last right item comes, as a mean over the queries",
        },
    ),
    (
        "accuracy",
        Meaning {
            term: "Accuracy",
            text: "the share of pairs that are rightly called same or different",
        },
    ),
    (
        "auc",
        Meaning {
            term: "AUC",
            text: "the probability that a pair of one class is nearer than a pair of two classes",
        },
    ),
    (
        "eer",
        Meaning {
            term: "EER",
            text: "the error rate at the threshold where false accepts are as frequent as false rejects",
        },
    ),
    (
        "equal error",
        Meaning {
            term: "Equal error rate",
            text: "the error rate at the threshold where false accepts are as frequent as false rejects",
        },
    ),
    (
        "val",
        Meaning {
            term: "VAL at FAR",
            text: "the share of pairs of one class that are accepted at a threshold with this rate of false accepts; FAR 0.001 are false accepts of 1 in 1,000",
        },
    ),
    ("error", Meaning { term: "Error", text: "the share of wrong answers" }),
    (
        "nmi",
        Meaning {
            term: "NMI",
            text: "how well groups and classes agree: 0 not at all, 100 % entirely",
        },
    ),
    ("ami", Meaning { term: "AMI", text: "as NMI, corrected for agreement by chance" }),
    (
        "ari",
        Meaning {
            term: "ARI",
            text: "the agreement of groups and classes over pairs of items, corrected for chance",
        },
    ),
    (
        "pairwise",
        Meaning {
            term: "Pairwise F1",
            text: "precision and recall of the pairs that share a group, as one figure",
        },
    ),
    (
        "bcubed",
        Meaning {
            term: "BCubed F1",
            text: "precision and recall of each item's group, as one figure",
        },
    ),
];

/// The explanations of these figures, each once, in the order in which the figures appear.
pub(crate) fn meanings<'name>(names: impl Iterator<Item = &'name str>) -> Vec<Meaning> {
    let mut found = Vec::new();
    for name in names {
        let name = name.to_lowercase();
        let meaning = MEANINGS.iter().find(|(begins, _)| name.starts_with(begins));
        if let Some((_, meaning)) = meaning
            && !found.contains(meaning)
        {
            found.push(*meaning);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_explained_once_and_by_its_own_meaning() {
        let names = ["Recall@1", "Recall@5", "R-Precision", "MAP@R", "mAP", "VAL at FAR 0.01", "x"];
        let terms: Vec<&str> =
            meanings(names.into_iter()).iter().map(|meaning| meaning.term).collect();
        assert_eq!(terms, ["Recall@K", "R-precision", "MAP@R", "mAP", "VAL at FAR"]);
    }
}
