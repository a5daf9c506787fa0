//! Tests of re-identification: which items are left out, pooling, single-shot galleries, and
//! figures.

use ndarray::Array2;
use proptest::prelude::*;

use super::*;

fn line(positions: &[f32]) -> Array2<f32> {
    Array2::from_shape_vec((positions.len(), 1), positions.to_vec()).unwrap()
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() < 1e-12
}

/// (position, identity, camera) of a query or gallery item.
type Seen = (f32, i64, i64);

fn parts(seen: &[Seen]) -> (Array2<f32>, Vec<i64>, Vec<i64>) {
    let positions: Vec<f32> = seen.iter().map(|item| item.0).collect();
    let ids = seen.iter().map(|item| item.1).collect();
    (line(&positions), ids, seen.iter().map(|item| item.2).collect())
}

fn judge(queries: &[Seen], gallery: &[Seen]) -> Result<Reidentification, Error> {
    let ((q, q_ids, q_cameras), (g, g_ids, g_cameras)) = (parts(queries), parts(gallery));
    Reidentification::judge(
        Sightings { embeddings: q.view(), ids: &q_ids, cameras: &q_cameras, items: None },
        Sightings { embeddings: g.view(), ids: &g_ids, cameras: &g_cameras, items: None },
        Metric::default(),
        CMC_RANKS,
    )
}

fn single_shot(queries: &[Seen], gallery: &[Seen], seed: u64) -> Result<SingleShot, Error> {
    let ((q, q_ids, q_cameras), (g, g_ids, g_cameras)) = (parts(queries), parts(gallery));
    SingleShot::judge(
        Sightings { embeddings: q.view(), ids: &q_ids, cameras: &q_cameras, items: None },
        Sightings { embeddings: g.view(), ids: &g_ids, cameras: &g_cameras, items: None },
        Metric::default(),
        CMC_RANKS,
        4_000,
        seed,
    )
}

#[test]
fn own_camera_and_junk_take_no_part_and_distractors_do() {
    // Own camera, junk, distractor, match, somebody else, match.
    let gallery = [(0.0, 5, 1), (1.0, -1, 2), (2.0, 0, 2), (3.0, 5, 2), (4.0, 8, 3), (5.0, 5, 3)];
    let judged = judge(&[(0.0, 5, 1)], &gallery).unwrap();
    assert_eq!((judged.queries, judged.gallery, judged.skipped_queries), (1, 6, 0));
    assert_eq!((judged.cmc[&1], judged.cmc[&2]), (0.0, 1.0));
    assert!(close(judged.map, (1.0 / 2.0 + 2.0 / 4.0) / 2.0));
    assert!(close(judged.map_market, ((0.0 + 0.5) / 2.0 + (1.0 / 3.0 + 0.5) / 2.0) / 2.0));
    assert!(close(judged.minp, 2.0 / 4.0));
    assert_eq!(judged.cmc.len(), 6);
}

#[test]
fn both_divisors_are_given() {
    let gallery = [(1.0, 5, 2), (2.0, 6, 1)];
    let judged = judge(&[(0.0, 5, 1), (0.0, 6, 1), (0.0, 9, 1)], &gallery).unwrap();
    assert_eq!((judged.queries, judged.skipped_queries), (1, 2));
    assert_eq!(judged.cmc_at(1), Some(1.0));
    assert!(close(judged.cmc_all_queries[&1], 1.0 / 3.0));
}

#[test]
fn ties_count_with_their_expected_value() {
    let gallery = [(2.0, 5, 2), (2.0, 6, 2), (2.0, 7, 2)];
    let judged = judge(&[(0.0, 5, 1)], &gallery).unwrap();
    for (rank, expected) in [(1, 1.0 / 3.0), (2, 2.0 / 3.0), (3, 1.0)] {
        assert!(close(judged.cmc[&rank], expected));
    }
    assert!(close(judged.map, (1.0 + 0.5 + 1.0 / 3.0) / 3.0));
    assert!(close(judged.map_market, (1.0 + 0.25 + 1.0 / 6.0) / 3.0));
    assert!(close(judged.minp, judged.map));
}

#[test]
fn the_query_itself_takes_no_part_whatever_its_camera() {
    let (vectors, ids, _) = parts(&[(0.0, 5, 0), (3.0, 6, 0), (4.0, 5, 0)]);
    // The same images with the same numbers, but with other cameras on the two sides.
    let items = [0, 1, 2];
    let sighting =
        |cameras, items| Sightings { embeddings: vectors.view(), ids: &ids, cameras, items };
    let judge = |items| {
        let (queries, gallery) = (sighting(&[1, 1, 1], items), sighting(&[2, 2, 2], items));
        Reidentification::judge(queries, gallery, Metric::default(), 3).unwrap()
    };
    let by_number = judge(Some(&items));
    assert_eq!((by_number.queries, by_number.skipped_queries), (2, 1));
    assert_eq!((by_number.cmc[&1], by_number.cmc[&2]), (0.0, 1.0));
    assert_eq!(judge(None).cmc[&1], 1.0);
    let short = sighting(&[1, 1, 1], Some(&items[..2]));
    assert!(Reidentification::judge(short, short, Metric::default(), 3).is_err());
}

#[test]
fn queries_are_averaged_by_person_and_camera() {
    let (vectors, ids, cameras) =
        parts(&[(1.0, 5, 1), (9.0, 5, 2), (3.0, 5, 1), (2.0, 6, 1), (11.0, 5, 2)]);
    let seen = Sightings { embeddings: vectors.view(), ids: &ids, cameras: &cameras, items: None };
    let pooled = seen.pooled(Metric::default()).unwrap();
    assert_eq!(pooled.embeddings, line(&[2.0, 10.0, 2.0]));
    assert_eq!((&*pooled.ids, &*pooled.cameras), (&[5, 5, 6][..], &[1, 2, 1][..]));
    assert_eq!(pooled.groups, [0, 1, 0, 2, 1]);
    let tracklets = seen.pooled_by_tracklet(&[1, 1, 1, 1, 2], Metric::default()).unwrap();
    assert_eq!(tracklets.embeddings, line(&[2.0, 9.0, 2.0, 11.0]));
    assert_eq!(tracklets.view().cameras, [1, 2, 1, 2]);
    assert!(seen.pooled_by_tracklet(&[1], Metric::default()).is_err());
    // On the sphere long vectors have no more weight than short ones.
    let uneven = ndarray::array![[100.0_f32, 0.0], [0.0, 1.0]];
    let seen = Sightings { embeddings: uneven.view(), ids: &[1, 1], cameras: &[1, 1], items: None };
    let metric = Metric { normalize: true, ..Metric::default() };
    assert_eq!(seen.pooled(metric).unwrap().embeddings, ndarray::array![[0.5_f32, 0.5]]);
}

#[test]
fn single_shots_average_over_galleries() {
    // The match is at 1 or at 5, the other person at 3 or at 7, a third always at 9.
    let gallery = [(1.0, 5, 2), (5.0, 5, 3), (3.0, 6, 2), (7.0, 6, 2), (9.0, 7, 2), (0.0, 5, 1)];
    let judged = single_shot(&[(0.0, 5, 1)], &gallery, 1).unwrap();
    assert!((judged.cmc[&1] - 0.75).abs() < 0.03, "{}", judged.cmc[&1]);
    assert_eq!(judged.cmc[&2], 1.0);
    assert_eq!(judged.cmc.len(), 3);
    assert_eq!(judged, single_shot(&[(0.0, 5, 1)], &gallery, 1).unwrap());
    // A tie with the one other person is a hit half the time.
    let tied = single_shot(&[(0.0, 5, 1)], &[(1.0, 5, 2), (1.0, 6, 2)], 1).unwrap();
    assert_eq!((tied.cmc[&1], tied.cmc[&2]), (0.5, 1.0));
}

#[test]
fn unusable_sets_are_refused() {
    let message =
        |queries: &[Seen], gallery: &[Seen]| judge(queries, gallery).unwrap_err().to_string();
    assert_eq!(
        message(&[(0.0, 5, 1), (0.0, -1, 1)], &[(0.0, 5, 2)]),
        "query identity is -1 at row 1: expected somebody to look for: -1 marks junk, which only a \
         gallery may hold"
    );
    assert_eq!(
        message(&[(0.0, 5, 1)], &[(0.0, 5, 1), (1.0, 6, 2)]),
        "re-identification needs a query whose identity another camera saw, got none among 1 \
         queries and 2 gallery items"
    );
    assert!(single_shot(&[(0.0, 5, 1)], &[(0.0, 5, 1)], 0).is_err());
    let vectors = line(&[0.0, 1.0]);
    let short = Sightings { embeddings: vectors.view(), ids: &[1, 2], cameras: &[1], items: None };
    let error = Reidentification::judge(short, short, Metric::default(), 1).unwrap_err();
    assert_eq!(error, Error::LabelCount { rows: 2, labels: 1 });
    let whole = Sightings { cameras: &[1, 2], ..short };
    assert!(Reidentification::judge(whole, whole, Metric::default(), 0).is_err());
}

#[test]
fn keys_are_those_of_the_contract() {
    let judged = judge(&[(0.0, 5, 1)], &[(1.0, 5, 2)]).unwrap();
    let json = serde_json::to_value(&judged).unwrap();
    for key in ["map", "map_market", "minp"] {
        assert!(json[key].is_f64() && json["ci95"][key].is_array(), "{key}");
    }
    assert_eq!(json["cmc"]["1"], 1.0);
    assert_eq!(json["ci95"]["cmc"]["1"], serde_json::json!([1.0, 1.0]));
    assert_eq!((&json["queries"], &json["skipped_queries"]), (&1.into(), &0.into()));
    assert!(json["convention"].as_str().unwrap().contains("trapezoid"));
}

proptest! {
    /// The loop of the code of Market-1501 over a ranked list without ties.
    #[test]
    fn figures_agree_with_the_original_loop(
        gallery in prop::collection::btree_map(1_u16..2_000, (-1_i64..3, 0_i64..3), 1..40),
    ) {
        let seen: Vec<Seen> =
            gallery.iter().map(|(&at, &(id, camera))| (f32::from(at), id, camera)).collect();
        let kept: Vec<bool> = seen
            .iter()
            .filter(|&&(_, id, camera)| id != JUNK && !(id == 1 && camera == 1))
            .map(|&(_, id, _)| id == 1)
            .collect();
        let matches = kept.iter().filter(|&&hit| hit).count() as f64;
        let judged = judge(&[(0.0, 1, 1)], &seen);
        if matches == 0.0 {
            prop_assert!(judged.is_err());
            return Ok(());
        }
        let judged = judged.unwrap();
        let (mut hits, mut old_recall, mut old_precision, mut ap) = (0.0, 0.0, 1.0, 0.0);
        for (place, &hit) in kept.iter().enumerate() {
            hits += f64::from(u8::from(hit));
            let (recall, precision) = (hits / matches, hits / (place + 1) as f64);
            ap += (recall - old_recall) * (old_precision + precision) / 2.0;
            (old_recall, old_precision) = (recall, precision);
            let found = f64::from(u8::from(hits > 0.0));
            prop_assert!(judged.cmc.get(&(place + 1)).is_none_or(|&cmc| close(cmc, found)));
        }
        prop_assert!(close(judged.map_market, ap));
        let last = kept.iter().rposition(|&hit| hit).unwrap() + 1;
        prop_assert!(close(judged.minp, matches / last as f64));
    }
}
