//! What scikit-learn and published code say of clusterings, re-ranking and principal components:
//! `golden/README.md` tells where the numbers come from.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "golden/read.rs"]
mod read;

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, Axis};
use read::golden;
use serde::Deserialize;
use tercet::clustering::{Cut, Groups, Options};
use tercet::reranking::KReciprocal;
use tercet::whitening::Pca;
use tercet::{Clustering, Labels, Metric};

const TOLERANCE: f64 = 1e-6;

/// Where an array begins in the file of arrays.
type Place = usize;

#[derive(Deserialize)]
#[serde(tag = "case", rename_all = "kebab-case")]
enum Case {
    Agreement {
        groups: Vec<Option<u32>>,
        classes: Vec<u32>,
        clusters: u64,
        #[serde(flatten)]
        figures: BTreeMap<String, f64>,
    },
    Clustering {
        clustering: String,
        embeddings: Place,
        items: usize,
        dimensions: usize,
        threshold: Option<f32>,
        clusters: Option<usize>,
        min_items: Option<usize>,
        /// −1 is noise; items without an answer hang on how ties are broken.
        groups: Vec<Option<i32>>,
    },
    Reranking {
        embeddings: Place,
        queries: usize,
        gallery: usize,
        dimensions: usize,
        k1: usize,
        k2: usize,
        lambda: f32,
        distances: Place,
    },
    Components {
        embeddings: Place,
        items: usize,
        dimensions: usize,
        components: usize,
        explained: Vec<f64>,
        projected: Place,
        whitened: Place,
    },
}

struct Arrays(Vec<f32>);

impl Arrays {
    fn get(&self, place: Place, rows: usize, columns: usize) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((rows, columns), &self.0[place..][..rows * columns]).unwrap()
    }
}

fn assert_close(got: f64, expected: f64, what: &str, number: usize) {
    assert!(
        (got - expected).abs() <= TOLERANCE,
        "{what} of case {number} is {got} instead of {expected}"
    );
}

/// To the tolerance, as a share of the greatest value.
fn assert_arrays_close(got: &Array2<f32>, expected: ArrayView2<f32>, what: &str, number: usize) {
    assert_eq!(got.dim(), expected.dim());
    let greatest = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    for (got, expected) in got.iter().zip(expected) {
        assert_close(f64::from(got / greatest), f64::from(expected / greatest), what, number);
    }
}

#[test]
fn groups_and_their_figures_agree_with_other_libraries() {
    let (cases, arrays) = golden::<Case>("grouping");
    let arrays = Arrays(arrays);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, case) in cases.iter().enumerate() {
        let kind = match case {
            Case::Agreement { groups, classes, clusters, figures } => {
                let groups = Groups::from_iter(groups.iter().copied());
                let judged = groups.judge(&Labels::from_iter(classes)).unwrap();
                assert_eq!(judged.clusters, *clusters, "clusters of case {number}");
                let judged = serde_json::to_value(judged).unwrap();
                assert_eq!(figures.len(), 9);
                for (key, &expected) in figures {
                    assert_close(judged[key].as_f64().unwrap(), expected, key, number);
                }
                "agreement"
            }
            Case::Clustering {
                clustering,
                embeddings,
                items,
                dimensions,
                threshold,
                clusters,
                min_items,
                groups,
            } => {
                let clustering: Clustering = clustering.parse().unwrap();
                let cut = match (threshold, clusters) {
                    (Some(threshold), _) => Cut::Threshold(*threshold),
                    (_, Some(clusters)) => Cut::Clusters(*clusters),
                    _ => Cut::None,
                };
                let mut options = Options { cut, ..Options::default() };
                options.min_items = min_items.unwrap_or(options.min_items);
                let x = arrays.get(*embeddings, *items, *dimensions);
                let got = clustering.group(x, &options).unwrap();
                // Only what has an answer, renumbered.
                let answered = || (0..*items).filter(|&item| groups[item].is_some());
                let got: Groups = answered().map(|item| got.of_items()[item]).collect();
                let expected: Groups = answered()
                    .map(|item| groups[item].and_then(|group| u32::try_from(group).ok()))
                    .collect();
                assert!(expected.len() * 10 >= items * 9, "too little is settled");
                assert_eq!(got, expected, "{clustering}, case {number}");
                "clustering"
            }
            Case::Reranking {
                embeddings,
                queries,
                gallery,
                dimensions,
                k1,
                k2,
                lambda,
                distances,
            } => {
                let all = arrays.get(*embeddings, queries + gallery, *dimensions);
                let (first, rest) = all.split_at(Axis(0), *queries);
                let parameters = KReciprocal { k1: *k1, k2: *k2, lambda: *lambda };
                let reranked = parameters.query_gallery(first, rest, Metric::default()).unwrap();
                let expected = arrays.get(*distances, *queries, *gallery);
                assert_arrays_close(&reranked.distances(), expected, "a distance", number);
                "re-ranking"
            }
            Case::Components {
                embeddings,
                items,
                dimensions,
                components,
                explained,
                projected,
                whitened,
            } => {
                let x = arrays.get(*embeddings, *items, *dimensions);
                let pca = Pca::fit(x, *components).unwrap();
                for (got, &expected) in pca.explained().into_iter().zip(explained) {
                    assert_close(got, expected, "a share of the variance", number);
                }
                let expected = |place: Place| arrays.get(place, *items, *components);
                let got = pca.apply(x).unwrap();
                assert_arrays_close(&got, expected(*projected), "a component", number);
                let got = pca.whitened().apply(x).unwrap();
                assert_arrays_close(&got, expected(*whitened), "a whitened component", number);
                "components"
            }
        };
        *seen.entry(kind).or_default() += 1;
    }
    println!("{seen:?}");
    assert!(seen["agreement"] >= 30 && seen["clustering"] >= 25);
    assert!(seen["re-ranking"] >= 5 && seen["components"] >= 3);
}
