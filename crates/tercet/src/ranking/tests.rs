//! Compares the figures of rankings with their definitions over every ordering of ties.

use proptest::prelude::*;

use super::count::COUNTED_IN_TURN;
use super::*;

fn ranking(distances: &[f32], relevant: &[bool]) -> Ranking {
    let columns = (0..relevant.len()).filter(|&column| relevant[column]);
    Ranking::new(distances, columns).unwrap()
}

/// R-precision, AP at R, AP, Market's AP, reciprocal rank, recall at 1, 2 and 4, hits at 3, NDCG
/// and inverse negative penalty of a list without ties, by definition.
fn plain(ranked: &[bool]) -> [f64; 11] {
    let relevant = ranked.iter().filter(|&&hit| hit).count();
    let hits = |k: usize| ranked.iter().take(k).filter(|&&hit| hit).count();
    let average_precision = |last: usize| {
        let precisions = (0..last.min(ranked.len()))
            .filter(|&i| ranked[i])
            .map(|i| hits(i + 1) as f64 / (i + 1) as f64);
        precisions.sum::<f64>() / relevant as f64
    };
    let first = ranked.iter().position(|&hit| hit).unwrap();
    let last = ranked.iter().rposition(|&hit| hit).unwrap();
    let precision = |k: usize| if k == 0 { 1.0 } else { hits(k) as f64 / k as f64 };
    let trapezoids =
        (0..ranked.len()).filter(|&i| ranked[i]).map(|i| (precision(i) + precision(i + 1)) / 2.0);
    let discount = |i: usize| 1.0 / ((i + 2) as f64).log2();
    let gain: f64 = (0..ranked.len()).filter(|&i| ranked[i]).map(discount).sum();
    let best: f64 = (0..relevant).map(discount).sum();
    [
        hits(relevant) as f64 / relevant as f64,
        average_precision(relevant),
        average_precision(usize::MAX),
        trapezoids.sum::<f64>() / relevant as f64,
        1.0 / (first + 1) as f64,
        f64::from(u8::from(first < 1)),
        f64::from(u8::from(first < 2)),
        f64::from(u8::from(first < 4)),
        hits(3) as f64,
        gain / best,
        relevant as f64 / (last + 1) as f64,
    ]
}

fn figures(ranking: &Ranking) -> [f64; 11] {
    [
        ranking.r_precision(),
        ranking.average_precision_at_r(),
        ranking.average_precision(),
        ranking.average_precision_market(),
        ranking.reciprocal_rank(),
        ranking.recall_at(1),
        ranking.recall_at(2),
        ranking.recall_at(4),
        ranking.hits_at(3),
        ranking.ndcg(),
        ranking.inverse_negative_penalty(),
    ]
}

/// Calls `visit` with every ordering of `items` by distance, ties in every order.
fn orderings(rest: &mut Vec<(u8, bool)>, taken: &mut Vec<bool>, visit: &mut impl FnMut(&[bool])) {
    let Some(&(closest, _)) = rest.iter().min_by_key(|item| item.0) else {
        return visit(taken);
    };
    for i in 0..rest.len() {
        if rest[i].0 == closest {
            let item = rest.remove(i);
            taken.push(item.1);
            orderings(rest, taken, visit);
            taken.pop();
            rest.insert(i, item);
        }
    }
}

fn assert_close(got: &[f64], expected: &[f64]) {
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-12, "{got} instead of {expected}");
    }
}

#[test]
fn known_average_precisions() {
    let judged = |relevant: &[bool]| {
        let distances: Vec<f32> = (0..relevant.len()).map(|rank| rank as f32).collect();
        let ranking = ranking(&distances, relevant);
        [ranking.average_precision(), ranking.average_precision_market()]
    };
    assert_close(&judged(&[true, false, true, false]), &[5.0 / 6.0, 19.0 / 24.0]);
    assert_close(&judged(&[false, true]), &[0.5, 0.25]);
}

#[test]
fn precision_is_interpolated_from_the_right() {
    let curve = |distances: &[f32], relevant: &[bool]| {
        ranking(distances, relevant).interpolated_precision(4)
    };
    let half = 0.5_f32;
    assert_eq!(
        curve(&[0.0, 1.0, 2.0, 3.0, 4.0], &[true, false, false, true, false]),
        [1.0, 1.0, 1.0, half, half]
    );
    // A later, higher precision counts for every lower recall.
    assert_eq!(curve(&[0.0, 1.0, 2.0], &[false, true, true]), [2.0 / 3.0; 5]);
    assert_eq!(curve(&[7.0; 4], &[true, true, false, false]), [half; 5]);
}

#[test]
fn without_relevant_items_there_is_no_ranking() {
    assert_eq!(Ranking::new(&[1.0, 2.0], std::iter::empty()), None);
}

#[test]
fn a_huge_tied_group_stays_finite() {
    let distances = vec![0.0; 20_000];
    let judged = Ranking::new(&distances, 0..10_000).unwrap();
    for figure in figures(&judged) {
        assert!((0.0..=1.5 + 1e-9).contains(&figure), "{figure}");
    }
    assert_close(&[judged.r_precision()], &[0.5]);
    let lone = Ranking::new(&distances, 0..1).unwrap();
    assert_close(&[lone.recall_at(100)], &[0.005]);
    let harmonic: f64 = (1..=20_000).map(|rank| 1.0 / f64::from(rank)).sum();
    assert_close(&[lone.reciprocal_rank()], &[harmonic / 20_000.0]);
}

proptest! {
    #[test]
    fn ties_have_their_mean_over_all_orderings(
        items in prop::collection::vec((0_u8..4, any::<bool>()), 1..8),
    ) {
        prop_assume!(items.iter().any(|item| item.1));
        let mut sums = [0.0; 11];
        let mut count = 0.0;
        orderings(&mut items.clone(), &mut Vec::new(), &mut |ranked| {
            for (sum, figure) in sums.iter_mut().zip(plain(ranked)) {
                *sum += figure;
            }
            count += 1.0;
        });
        let distances: Vec<f32> = items.iter().map(|item| f32::from(item.0)).collect();
        let relevant: Vec<bool> = items.iter().map(|item| item.1).collect();
        assert_close(&figures(&ranking(&distances, &relevant)), &sums.map(|sum| sum / count));
    }

    #[test]
    fn without_ties_it_is_the_plain_definition(
        items in prop::collection::btree_map(0_u32..100_000, any::<bool>(), 1..120),
    ) {
        prop_assume!(items.values().any(|&relevant| relevant));
        let distances: Vec<f32> = items.keys().map(|&distance| distance as f32).collect();
        let relevant: Vec<bool> = items.values().copied().collect();
        assert_close(&figures(&ranking(&distances, &relevant)), &plain(&relevant));
    }

    #[test]
    fn both_ways_of_counting_agree(
        distances in prop::collection::vec(0_u8..60, 1..200),
        places in prop::collection::btree_set(0_u8..60, COUNTED_IN_TURN + 1..40),
    ) {
        let distances: Vec<f32> = distances.into_iter().map(f32::from).collect();
        let places: Vec<f32> = places.into_iter().map(f32::from).collect();
        let at_once = count(&distances, &places);
        let in_turn: Vec<(usize, usize)> =
            places.iter().flat_map(|&place| count(&distances, &[place])).collect();
        prop_assert_eq!(at_once, in_turn);
    }
}
