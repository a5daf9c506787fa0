//! Pairs of classes that are confused with each other.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tercet::Labels;
use tercet::retrieval::{Example, QueryJudgement};

/// The largest number of neighbours of a query that are examined, even if its class has more items.
pub const NEIGHBORS: usize = 50;

/// The largest number of queries that are examined; larger sets are thinned evenly.
pub const QUERIES: usize = 20_000;

/// Two classes that are confused with each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    /// The two classes; the class of the query of [`example`](Self::example) is the first.
    pub classes: [String; 2],
    /// Number of neighbours of the other class among the R nearest of the queries of both classes.
    pub errors: u64,
    /// Number of all neighbours among the R nearest of these queries, right and wrong ones.
    pub places: u64,
    /// The nearest confused pair of items: row of the query, row of the gallery, distance.
    pub example: (u32, u32, f32),
}

/// The queries to use for [`confusions`], and the number of neighbours that it needs of each.
pub fn sampled(judged: &[QueryJudgement]) -> (Vec<QueryJudgement>, usize) {
    let every = judged.len().div_ceil(QUERIES).max(1);
    let queries: Vec<QueryJudgement> = judged.iter().copied().step_by(every).collect();
    let largest = queries.iter().map(|query| query.relevant).max().unwrap_or(1);
    (queries, (largest as usize).clamp(1, NEIGHBORS))
}

/// The `most` pairs of classes with the most errors among the R nearest neighbours, where R is the
/// number of relevant items of the query (at most [`NEIGHBORS`]). Ties are ordered by the share of
/// errors, larger first, then by name.
pub fn confusions(
    examples: &[Example],
    queries: &Labels,
    gallery: &Labels,
    most: usize,
) -> Vec<Confusion> {
    /// The number of errors of a pair of classes, and its nearest example.
    type Errors = (u64, (u32, u32, f32));
    let class = |labels: &Labels, row: u32| -> Option<String> {
        let class = labels.classes().get(row as usize)?;
        Some(labels.name(*class).to_owned())
    };
    let mut places: BTreeMap<String, u64> = BTreeMap::new();
    let mut errors: BTreeMap<[String; 2], Errors> = BTreeMap::new();
    for example in examples {
        let row = example.judgement.query;
        let Some(name) = class(queries, row) else { continue };
        let cut = (example.judgement.relevant as usize).min(example.nearest.len());
        *places.entry(name.clone()).or_default() += cut as u64;
        for found in example.nearest[..cut].iter().filter(|found| !found.relevant) {
            let Some(other) = class(gallery, found.index) else { continue };
            let mut key = [name.clone(), other];
            key.sort();
            let pair = (row, found.index, found.distance);
            let (count, nearest) = errors.entry(key).or_insert((0, pair));
            *count += 1;
            if found.distance < nearest.2 {
                *nearest = pair;
            }
        }
    }
    let mut found: Vec<Confusion> = errors
        .into_iter()
        .map(|(classes, (count, example))| {
            let of = |name: &String| places.get(name).copied().unwrap_or(0);
            let places = of(&classes[0]) + of(&classes[1]);
            let [first, second] = classes;
            let classes = match class(queries, example.0) {
                Some(name) if name == second => [second, first],
                _ => [first, second],
            };
            Confusion { classes, errors: count, places, example }
        })
        .collect();
    let share = |confusion: &Confusion| confusion.errors as f64 / confusion.places.max(1) as f64;
    found.sort_by(|x, y| {
        let by_share = share(y).total_cmp(&share(x));
        Reverse(x.errors).cmp(&Reverse(y.errors)).then(by_share).then(x.classes.cmp(&y.classes))
    });
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use tercet::retrieval::Protocol;
    use tercet::{Metric, Retrieval};

    use super::*;

    #[test]
    fn the_pair_of_classes_with_the_most_wrong_neighbours_comes_first() {
        // `b` and `c` are confused, `a` and `d` are separated.
        let points = array![
            [0.0_f32],
            [0.1],
            [0.2], // a
            [5.0],
            [5.2],
            [5.4], // b
            [5.1],
            [5.3],
            [5.55], // c
            [9.0],
            [9.1],
            [9.2] // d
        ];
        let labels: Labels =
            ["a", "a", "a", "b", "b", "b", "c", "c", "c", "d", "d", "d"].into_iter().collect();
        let judged = Retrieval::leave_one_out(points.view(), &labels, Metric::default()).unwrap();
        let (queries, k) = sampled(&judged.per_query);
        assert_eq!((queries.len(), k), (12, 2));
        let examples = Protocol::new(Metric::default())
            .examples_leave_one_out(&queries, points.view(), &labels, k)
            .unwrap();
        let found = confusions(&examples, &labels, &labels, 5);
        assert_eq!(found.len(), 1, "{found:?}");
        let mut classes = found[0].classes.clone();
        classes.sort();
        assert_eq!(classes, ["b", "c"]);
        assert_eq!(found[0].places, 12);
        // Of the 2 nearest of each: b 5.0 → 5.1 c, 5.2 b; 5.2 → c, c; 5.4 → c, c or b; …
        assert!((6..=12).contains(&found[0].errors), "{found:?}");
        assert!((found[0].example.2 - 0.1).abs() < 1e-5);
        assert!(confusions(&examples, &labels, &labels, 0).is_empty());
    }
}
