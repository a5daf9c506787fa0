//! Tests of exact and coded scans against the definition.

use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};

use super::*;

fn random(rows: usize, dimensions: usize, seed: u64, offset: f32) -> Array2<f32> {
    let mut random = rand::rngs::ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_fn((rows, dimensions), |_| random.random_range(-1.0..1.0) + offset)
}

/// The definition: all distances, in the order of distance, block and row.
fn brute(queries: ArrayView2<f32>, blocks: &[Block], k: usize) -> Vec<Vec<Found>> {
    let of_query = |query: &[f32]| {
        let mut found = Vec::new();
        for (block, rows) in blocks.iter().enumerate() {
            for row in (0..rows.len()).filter(|&row| rows.keeps(row)) {
                let distance = squared_distance(query, rows.row(row));
                found.push(Found { block: block as u32, row: row as u32, distance });
            }
        }
        found.sort_unstable();
        found.truncate(k);
        found
    };
    queries.outer_iter().map(|query| of_query(&query.to_vec())).collect()
}

#[test]
fn distances_are_those_of_the_reference() {
    let rows = random(300, 37, 1, 0.0);
    let values = rows.as_slice().unwrap();
    let norms = squared_norms(values, 37);
    let block = Block::new(values, &norms, 37, None).unwrap();
    let queries = random(5, 37, 2, 0.0);
    for metric in Distance::ALL.map(Metric::from) {
        let rows = metric.rows(rows.view()).unwrap();
        let values = rows.as_slice().unwrap();
        let norms = squared_norms(values, 37);
        let block = Block { rows: values, squared_norms: &norms, ..block };
        let found = nearest(metric.rows(queries.view()).unwrap().view(), &[block], 300).unwrap();
        for (query, found) in queries.outer_iter().zip(found) {
            for found in found {
                let expected = crate::distance::reference::distance(
                    metric,
                    &query.to_vec(),
                    &rows.row(found.row as usize).to_vec(),
                );
                let got = f64::from(metric.from_squared(found.distance));
                assert!((got - expected).abs() < 1e-5 * (1.0 + expected), "{metric}");
            }
        }
    }
}

#[test]
fn vectors_far_from_the_origin_are_told_apart() {
    // With the Gram form alone, these distances would have no correct digit.
    let rows = random(2000, 24, 3, 1000.0);
    let values = rows.as_slice().unwrap();
    let norms = squared_norms(values, 24);
    let block = Block::new(values, &norms, 24, None).unwrap();
    let queries = random(9, 24, 4, 1000.0);
    assert_eq!(nearest(queries.view(), &[block], 7).unwrap(), brute(queries.view(), &[block], 7));
}

#[test]
fn wrong_questions_are_refused() {
    let rows = [0.0_f32, 1.0];
    let block = Block::new(&rows, &[0.0, 1.0], 1, None).unwrap();
    assert!(nearest(Array2::zeros((1, 1)).view(), &[block], 0).is_err());
    let error = nearest(Array2::zeros((1, 2)).view(), &[block], 1).unwrap_err();
    assert_eq!(error, Error::DimensionMismatch { queries: 2, gallery: 1 });
    assert!(nearest(Array2::from_elem((1, 1), f32::NAN).view(), &[block], 1).is_err());
    assert!(Block::new(&rows, &[0.0], 1, None).is_err());
    assert!(Block::new(&rows, &[0.0, 1.0], 1, Some(&[])).is_err());
    assert!(Block::new(&[], &[], 0, None).is_err());
}

#[test]
fn listed_rows_are_put_in_order() {
    let rows = [0.0_f32, 4.0, 1.0];
    let block = Block::new(&rows, &[0.0, 16.0, 1.0], 1, Some(&[0])).unwrap();
    let query = ndarray::array![5.0_f32];
    let found = nearest_among(query.view(), &[block], [(0, 0), (0, 2), (0, 1)], 2).unwrap();
    assert_eq!(found.iter().map(|found| found.row).collect::<Vec<_>>(), [1, 2]);
    assert!(nearest_among(query.view(), &[block], [(0, 3)], 1).is_err());
    assert!(nearest_among(query.view(), &[block], [(1, 0)], 1).is_err());
}

#[test]
fn codes_that_propose_everything_miss_nothing() {
    let rows = random(500, 70, 5, 0.0);
    let values = rows.as_slice().unwrap();
    let norms = squared_norms(values, 70);
    let block = Block::new(values, &norms, 70, None).unwrap();
    let queries = random(4, 70, 6, 0.0);
    for kind in Quantization::ALL {
        let quantizer = Quantizer::fit(kind, values, 70);
        let codes = quantizer.encode(values);
        let coded = CodedBlock { block, codes: &codes };
        let found = nearest_coded(queries.view(), &[coded], &quantizer, 10, 500).unwrap();
        assert_eq!(found, brute(queries.view(), &[block], 10), "{kind}");

        let other = Quantizer::fit(kind, &values[..69], 69);
        assert!(nearest_coded(queries.view(), &[coded], &other, 1, 1).is_err());
    }
}

#[test]
fn codes_find_most_of_the_nearest() {
    // Clusters, as embeddings form them.
    let centres = random(200, 64, 7, 0.0);
    let noise = random(4000, 64, 8, 0.0);
    let rows =
        Array2::from_shape_fn((4000, 64), |(i, j)| centres[[i % 200, j]] + noise[[i, j]] / 4.0);
    let values = rows.as_slice().unwrap();
    let norms = squared_norms(values, 64);
    let block = Block::new(values, &norms, 64, None).unwrap();
    let queries = rows.slice(ndarray::s![..50, ..]).to_owned() + 0.01;
    let exact = nearest(queries.view(), &[block], 10).unwrap();
    for (kind, least) in [(Quantization::I8, 0.99), (Quantization::B1, 0.95)] {
        let quantizer = Quantizer::fit(kind, values, 64);
        let codes = quantizer.encode(values);
        let coded = CodedBlock { block, codes: &codes };
        let candidates = kind.candidates(10);
        let found = nearest_coded(queries.view(), &[coded], &quantizer, 10, candidates).unwrap();
        let shared = exact
            .iter()
            .zip(&found)
            .flat_map(|(exact, found)| exact.iter().filter(|exact| found.contains(exact)));
        let recall = shared.count() as f64 / 500.0;
        assert!(recall >= least, "{kind}: {recall}");
    }
}

proptest! {
    /// For any number of queries and blocks, with ties, whichever rows are kept.
    #[test]
    fn scans_agree_with_the_definition(
        lengths in prop::collection::vec(0_usize..300, 0..4),
        dimensions in 1_usize..40,
        queries in 1_usize..70,
        k in 1_usize..30,
        share in 0_u32..=10,
        coarse: bool,
        seed: u64,
    ) {
        let grid = |mut values: Array2<f32>| {
            if coarse {
                values.mapv_inplace(f32::round);
            }
            values
        };
        let mut bits = rand::rngs::ChaCha8Rng::seed_from_u64(seed);
        let rows: Vec<_> =
            lengths.iter().map(|&length| grid(random(length, dimensions, seed ^ length as u64, 0.0))).collect();
        let norms: Vec<_> =
            rows.iter().map(|rows| squared_norms(rows.as_slice().unwrap(), dimensions)).collect();
        let kept: Vec<Vec<u64>> = lengths.iter().map(|&length| {
            let mut bit = |_| u64::from(bits.random_range(0..10) < share);
            (0..length.div_ceil(64)).map(|_| (0..64).map(&mut bit).fold(0, |word, bit| word << 1 | bit)).collect()
        }).collect();
        let blocks: Vec<Block> = rows.iter().zip(&norms).zip(&kept).map(|((rows, norms), kept)| {
            let kept = (share < 10).then_some(&kept[..]);
            Block::new(rows.as_slice().unwrap(), norms, dimensions, kept).unwrap()
        }).collect();
        let queries = grid(random(queries, dimensions, !seed, 0.0));
        prop_assert_eq!(
            nearest(queries.view(), &blocks, k).unwrap(),
            brute(queries.view(), &blocks, k)
        );
    }
}
