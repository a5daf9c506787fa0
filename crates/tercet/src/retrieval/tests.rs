//! Tests of retrieval: figures, ties, items left out, and means over classes.

use ndarray::{Array2, Axis, array};
use proptest::prelude::*;

use super::*;
use crate::SameItems;

fn line(positions: &[f32]) -> Array2<f32> {
    Array2::from_shape_vec((positions.len(), 1), positions.to_vec()).unwrap()
}

fn leave_one_out(positions: &[f32], labels: &[u8]) -> Retrieval {
    let labels = labels.iter().collect();
    Retrieval::leave_one_out(line(positions).view(), &labels, Metric::default()).unwrap()
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() < 1e-12
}

#[test]
fn a_worked_example() {
    // The ranked relevance of the query at 0 is [1, 0, 1, 0].
    let judged = leave_one_out(&[0.0, 1.0, 2.0, 3.0, 4.0], &[0, 0, 1, 0, 2]);
    assert_eq!((judged.queries, judged.gallery, judged.skipped_queries), (3, 5, 2));
    let first = judged.per_query[0];
    assert_eq!((first.query, first.relevant), (0, 2));
    assert!(close(first.average_precision, 5.0 / 6.0));
    assert!(close(first.map_at_r, 0.5));
    assert!(close(first.r_precision, 0.5));
    // For the query at 1 the items at 0 and 2 tie: its ranked relevance is [1, 0, 1, 0] or [0, 1,
    // 1, 0] with equal probability.
    let second = judged.per_query[1];
    assert!(close(second.recall_at_1, 0.5));
    assert!(close(second.average_precision, (5.0 / 6.0 + 7.0 / 12.0) / 2.0));
    assert!(close(second.reciprocal_rank, 0.75));
    assert_eq!(judged.recall_at(5), Some(1.0));
    assert_eq!(judged.recall_at(3), None);
}

#[test]
fn a_duplicate_is_a_match_and_the_query_is_not() {
    let judged = leave_one_out(&[0.0, 0.0, 5.0, 5.0], &[0, 1, 0, 1]);
    assert_eq!(judged.recall_at(1), Some(0.0));
    let judged = leave_one_out(&[0.0, 0.0, 5.0, 5.0], &[0, 0, 1, 1]);
    assert_eq!(judged.recall_at(1), Some(1.0));
    assert_eq!(judged.map_at_r(), 1.0);
}

#[test]
fn collapsed_embeddings_get_chance() {
    // 4 items of one class, 4 of another: 3 of the 7 others are relevant.
    let judged = leave_one_out(&[2.5; 8], &[0, 0, 0, 0, 1, 1, 1, 1]);
    assert!(close(judged.recall_at(1).unwrap(), 3.0 / 7.0));
    assert!(close(judged.r_precision(), 3.0 / 7.0));
    assert!(judged.ci95.map.iter().all(|&bound| close(bound, judged.map())));
}

#[test]
fn one_class_is_always_found() {
    let judged = leave_one_out(&[1.0, 7.0, 3.0], &[4, 4, 4]);
    let figures = [judged.map(), judged.mrr(), judged.r_precision(), judged.map_at_r()];
    assert_eq!(figures, [1.0; 4]);
    assert_eq!(judged.ci95.recall_at_1, [1.0, 1.0]);
}

#[test]
fn lone_classes_leave_nothing_to_judge() {
    let labels = Labels::from_iter([0, 1, 2]);
    let points = line(&[0.0, 1.0, 2.0]);
    let error = Retrieval::leave_one_out(points.view(), &labels, Metric::default());
    assert_eq!(
        error.unwrap_err().to_string(),
        "retrieval needs a query with another item of its class to find, \
         got none among 3 queries and 3 gallery items"
    );
    let short = Labels::from_iter([0, 0]);
    let error = Retrieval::leave_one_out(points.view(), &short, Metric::default());
    assert_eq!(error.unwrap_err(), Error::LabelCount { rows: 3, labels: 2 });
    let nobody = Labels::from_iter([7, 7, 7]);
    let other =
        Retrieval::query_gallery(points.view(), &labels, points.view(), &nobody, Metric::default());
    assert!(matches!(other, Err(Error::NotEnough { .. })));
}

#[test]
fn classes_meet_by_name() {
    let queries = array![[0.0_f32], [10.0], [20.0]];
    let gallery = array![[1.0_f32], [9.0], [2.0]];
    let judged = Retrieval::query_gallery(
        queries.view(),
        &Labels::from_iter(["bob", "ann", "eve"]),
        gallery.view(),
        &Labels::from_iter(["ann", "ann", "bob"]),
        Metric::default(),
    )
    .unwrap();
    assert_eq!((judged.queries, judged.gallery, judged.skipped_queries), (2, 3, 1));
    assert_eq!(judged.per_query[0].reciprocal_rank, 0.5);
    assert!(close(judged.per_query[1].average_precision, 5.0 / 6.0));
}

#[test]
fn an_item_of_both_sides_does_not_find_itself() {
    let positions = [0.0_f32, 1.0, 1.5, 7.0, 7.0, 9.0];
    let vectors = Array2::from_shape_vec((6, 1), positions.to_vec()).unwrap();
    let labels = Labels::from_iter([0, 1, 0, 1, 1, 0]);
    let x = vectors.view();
    let alone = Retrieval::leave_one_out(x, &labels, Metric::default()).unwrap();
    let same = SameItems::by_key(0..6, 0..6);
    let protocol = Protocol::new(Metric::default()).excluding(same);
    let both = protocol.query_gallery(x, &labels, x, &labels).unwrap();
    assert_eq!((both.map, both.map_at_r, both.mrr), (alone.map, alone.map_at_r, alone.mrr));
    assert_eq!(both.per_query, alone.per_query);
    let reranking = crate::reranking::KReciprocal { k1: 2, k2: 2, lambda: 0.3 };
    let reranked = reranking.leave_one_out(x, Metric::default()).unwrap();
    let alone = Protocol::default().leave_one_out_reranked(&reranked, &labels).unwrap();
    let both = protocol.query_gallery_reranked(&reranked, &labels, &labels).unwrap();
    assert_eq!(both.per_query, alone.per_query);
    // The neighbours of examples follow the same rule.
    let shown = protocol.examples(&both.per_query[..2], x, &labels, x, &labels, 3).unwrap();
    assert_eq!(shown[0].nearest.iter().map(|near| near.index).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(shown[1].nearest.iter().map(|near| near.index).collect::<Vec<_>>(), [2, 0, 3]);
}

#[test]
fn rows_of_one_item_do_not_find_each_other() {
    // Rows 0 and 1 are one item. The only match that they can find is row 2, which is farther than
    // row 3.
    let vectors = array![[0.0_f32], [0.0], [5.0], [4.0], [6.0]];
    let labels = Labels::from_iter(["a", "a", "a", "b", "b"]);
    let same = SameItems::within(&["x", "x", "y", "z", "w"]);
    let protocol = Protocol::default().excluding(same);
    let judged = protocol.leave_one_out(vectors.view(), &labels).unwrap();
    assert_eq!(judged.per_query[0].relevant, 1);
    assert_eq!(judged.per_query[0].reciprocal_rank, 0.5);
    assert_eq!(judged.per_query[2].relevant, 2);
    let short = Protocol::default().excluding(SameItems::none(4));
    assert!(short.leave_one_out(vectors.view(), &labels).is_err());
    assert!(short.query_gallery(vectors.view(), &labels, vectors.view(), &labels).is_err());
}

#[test]
fn deep_recall_needs_a_deep_gallery() {
    let positions: Vec<f32> = (0..101).map(|i| i as f32).collect();
    let judged = leave_one_out(&positions, &[0; 101]);
    assert_eq!(judged.recall_at(100), Some(1.0));
    let judged = leave_one_out(&positions[..100], &[0; 100]);
    assert_eq!(judged.recall_at(100), None);
}

#[test]
fn keys_are_those_of_the_contract() {
    let judged = leave_one_out(&[0.0, 1.0, 5.0, 6.0], &[0, 0, 1, 1]);
    let json = serde_json::to_string(&judged).unwrap();
    let ranks = r#"{"1":1.0,"2":1.0,"4":1.0,"5":1.0,"8":1.0,"10":1.0}"#;
    let start = r#"{"queries":4,"gallery":4,"skipped_queries":0,"recall_at_k":"#.to_owned() + ranks;
    assert!(json.starts_with(&start), "{json}");
    let figures = r#""r_precision":1.0,"map_at_r":1.0,"map":1.0,"mrr":1.0"#;
    assert!(json.contains(figures), "{json}");
    let intervals = r#""ci95":{"recall_at_1":[1.0,1.0],"r_precision":[1.0,1.0],"#.to_owned()
        + r#""map_at_r":[1.0,1.0],"map":[1.0,1.0],"mrr":[1.0,1.0]"#;
    assert!(json.contains(&intervals), "{json}");
}

#[test]
fn precision_classes_and_curves_of_a_worked_example() {
    // At 0: relevance [1, 0, 1]; at 1: [½, ½, 1] by a tie; at 3: [0, 1, 1]. At 2 and 4: alone.
    let judged = leave_one_out(&[0.0, 1.0, 2.0, 3.0], &[0, 0, 1, 0]);
    assert_eq!(judged.precision_at(1), judged.recall_at(1));
    assert!(close(judged.precision_at(2).unwrap(), (0.5 + 0.5 + 0.5) / 3.0));
    assert!(close(judged.precision_at(4).unwrap(), 0.5));
    let third = 1.0 / 3.0_f64.log2();
    let first = (1.0 + 0.5) / (1.0 + third);
    let last = (third + 0.5) / (1.0 + third);
    assert!(close(judged.per_query[0].ndcg, first) && close(judged.per_query[2].ndcg, last));
    assert!(close(judged.ndcg, (first + (first + last) / 2.0 + last) / 3.0));
    assert_eq!(judged.per_class.len(), 1);
    assert_eq!((judged.per_class[0].name.as_str(), judged.per_class[0].queries), ("0", 3));
    assert!(close(judged.macro_average.map, judged.map));
    // Up to half of the recall: 1, then ⅔ beyond; at 1 the tie makes it ⅔ throughout.
    assert_eq!(judged.precision_recall.len(), 101);
    let expected = |first: f64| (first + 2.0 / 3.0 + 2.0 / 3.0) / 3.0;
    assert!((judged.precision_recall[50] - expected(1.0)).abs() < 1e-6);
    assert!((judged.precision_recall[51] - expected(2.0 / 3.0)).abs() < 1e-6);
    let worst: Vec<u32> = judged.worst(2).iter().map(|query| query.query).collect();
    assert_eq!((worst, judged.best(1)[0].query), (vec![3, 1], 0));
}

#[test]
fn classes_weigh_alike_in_the_macro_average() {
    // Four items that find each other, two that do not.
    let judged = leave_one_out(&[0.0, 1.0, 2.0, 3.0, 10.0, 20.0, 11.0], &[0, 0, 0, 0, 1, 1, 2]);
    assert!(close(judged.recall_at(1).unwrap(), 4.0 / 6.0));
    assert!(close(judged.macro_average.recall_at_1, 0.5));
    let [low, high] = judged.ci95.recall_at_k[&1];
    assert_eq!([low, high], judged.ci95.recall_at_1);
    assert_eq!((low, high), (0.0, 1.0));
}

#[test]
fn ranks_are_chosen() {
    let vectors = line(&[0.0, 1.0, 5.0]);
    let labels = Labels::from_iter([0, 1, 0]);
    let protocol = Protocol::new(Metric::default()).at_ranks([3, 2, 2]).unwrap();
    let judged = protocol.leave_one_out(vectors.view(), &labels).unwrap();
    assert_eq!(judged.recall_at_k.keys().copied().collect::<Vec<_>>(), [2, 3]);
    let message = |ranks: &[usize]| {
        Protocol::default().at_ranks(ranks.iter().copied()).unwrap_err().to_string()
    };
    assert_eq!(message(&[0, 1]), "ranks is [0, 1]: expected at least one rank, counted from 1");
    assert!(!message(&[]).is_empty());
}

#[test]
fn excluded_pairs_are_neither_found_nor_missed() {
    let (queries, gallery) = (line(&[0.0, 10.0]), line(&[1.0, 2.0, 3.0]));
    let (asked, there) = (Labels::from_iter(["a", "b"]), Labels::from_iter(["a", "b", "a"]));
    let judged = |excluded: fn(usize, usize) -> bool| {
        Protocol::default()
            .query_gallery_without(queries.view(), &asked, gallery.view(), &there, excluded)
            .unwrap()
    };
    let all = judged(|_, _| false);
    let plain = Protocol::default().query_gallery(queries.view(), &asked, gallery.view(), &there);
    assert_eq!(all, plain.unwrap());
    // Without its first match the first query finds only the one after the other class.
    let some = judged(|query, item| query == 0 && item == 0);
    assert_eq!((some.per_query[0].relevant, some.per_query[0].average_precision), (1, 0.5));
    assert_eq!(some.per_query[1], all.per_query[1]);
    // Without any match it is skipped.
    let fewer = judged(|query, item| query == 1 && item == 1);
    assert_eq!((fewer.queries, fewer.skipped_queries), (1, 1));
}

#[test]
fn examples_show_what_was_found() {
    let vectors = line(&[0.0, 1.0, 5.0, 6.5]);
    let labels = Labels::from_iter([0, 1, 0, 1]);
    let protocol = Protocol::default();
    let judged = protocol.leave_one_out(vectors.view(), &labels).unwrap();
    let shown = protocol
        .examples_leave_one_out(&judged.per_query[..1], vectors.view(), &labels, 2)
        .unwrap();
    let first = Match { index: 1, distance: 1.0, relevant: false };
    let second = Match { index: 2, distance: 5.0, relevant: true };
    assert_eq!(shown[0].nearest, [first, second]);
    assert_eq!(shown[0].judgement, judged.per_query[0]);
    let between = protocol
        .examples(&judged.per_query[1..2], vectors.view(), &labels, vectors.view(), &labels, 1)
        .unwrap();
    assert_eq!(between[0].nearest, [Match { index: 1, distance: 0.0, relevant: true }]);
}

#[test]
fn the_thread_count_changes_nothing() {
    let embeddings =
        Array2::from_shape_fn((300, 5), |(i, j)| ((i * 131 + j * 71 + i * i) % 97) as f32);
    let labels = (0..300).map(|i| i % 23).collect();
    let judged = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            Retrieval::leave_one_out(embeddings.view(), &labels, Metric::default()).unwrap()
        })
    };
    assert_eq!(judged(1), judged(3));
}

/// Integer coordinates, so that distances are exact and do tie.
fn items() -> impl Strategy<Value = Vec<(i8, i8, u8)>> {
    prop::collection::vec((-3_i8..4, -3_i8..4, 0_u8..4), 2..30)
}

fn arrays(items: &[(i8, i8, u8)]) -> (Array2<f32>, Labels) {
    let embeddings = Array2::from_shape_fn((items.len(), 2), |(row, column)| {
        f32::from(if column == 0 { items[row].0 } else { items[row].1 })
    });
    (embeddings, items.iter().map(|item| item.2).collect())
}

proptest! {
    #[test]
    fn the_order_of_the_items_changes_nothing(items in items(), rotation in 0_usize..30) {
        let (embeddings, labels) = arrays(&items);
        let judged = Retrieval::leave_one_out(embeddings.view(), &labels, Metric::default());
        let mut moved = items.clone();
        moved.reverse();
        moved.rotate_left(rotation % items.len());
        let (embeddings, labels) = arrays(&moved);
        let again = Retrieval::leave_one_out(embeddings.view(), &labels, Metric::default());
        match (judged, again) {
            (Ok(judged), Ok(again)) => {
                prop_assert_eq!(judged.skipped_queries, again.skipped_queries);
                prop_assert!(close(judged.map(), again.map()));
                prop_assert!(close(judged.map_at_r(), again.map_at_r()));
                prop_assert!(close(judged.r_precision(), again.r_precision()));
                prop_assert!(close(judged.mrr(), again.mrr()));
                for (rank, recall) in &judged.recall_at_k {
                    prop_assert!(close(*recall, again.recall_at_k[rank]));
                }
            }
            (judged, again) => prop_assert_eq!(judged, again),
        }
    }

    #[test]
    fn leaving_one_out_is_a_gallery_of_the_others(items in items()) {
        let (embeddings, labels) = arrays(&items);
        let metric = Metric::default();
        let judged = Retrieval::leave_one_out(embeddings.view(), &labels, metric);
        let judged = judged.map(|judged| judged.per_query).unwrap_or_default();
        let mut judged = judged.into_iter().peekable();
        for query in 0..items.len() {
            let others: Vec<usize> = (0..items.len()).filter(|&item| item != query).collect();
            let numbers: Vec<u32> = others.iter().map(|&item| item as u32).collect();
            let by_hand = Retrieval::query_gallery(
                embeddings.select(Axis(0), &[query]).view(),
                &labels.select(&[query as u32]),
                embeddings.select(Axis(0), &others).view(),
                &labels.select(&numbers),
                metric,
            );
            if let Ok(by_hand) = by_hand {
                let expected = QueryJudgement { query: query as u32, ..by_hand.per_query[0] };
                prop_assert_eq!(judged.next(), Some(expected));
            } else {
                prop_assert!(judged.peek().is_none_or(|next| next.query as usize != query));
            }
        }
    }
}
