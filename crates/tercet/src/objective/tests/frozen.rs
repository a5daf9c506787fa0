//! Frozen candidates, frozen anchors, reference vectors, and the memory of past embeddings.

use ndarray::{Axis, array, concatenate, s};
use proptest::prelude::*;

use super::super::reference;
use super::triplets::names;
use super::*;
use crate::Error;

#[test]
fn frozen_candidates_agree_with_the_reference_and_its_finite_differences() {
    let all = random(16, 14, 3);
    let batch = 6;
    let (current, frozen) = (all.slice(s![..batch, ..]), all.slice(s![batch.., ..]));
    let labels = Labels::from_iter(&CLASSES[..batch]);
    let frozen_labels = Labels::from_iter(&CLASSES[batch..]);
    for (index, loss) in every_loss().enumerate() {
        let got = loss.evaluation(current, &labels).frozen(frozen, &frozen_labels).run().unwrap();
        let value = |v: &[Vec<f64>]| reference::evaluate_anchors(&loss, v, &CLASSES, batch);
        check_outcome(&got, &value(&rows(&all)), &loss);
        if index % 5 == 0 {
            let expected = reference::differences(&rows(&all), batch, |moved| value(moved).value);
            check_gradient(&got.gradient, &expected, &loss);
        }
    }
    for loss in every_lifted() {
        let got = Objective::from(loss)
            .evaluation(current, &labels)
            .frozen(frozen, &frozen_labels)
            .run()
            .unwrap();
        let value = |v: &[Vec<f64>]| reference::evaluate_lifted(&loss, v, &CLASSES, batch);
        check_outcome(&got, &value(&rows(&all)), &loss);
        let expected = reference::differences(&rows(&all), batch, |moved| value(moved).value);
        check_gradient(&got.gradient, &expected, &loss);
    }
}

#[test]
fn harmonic_triplets_pull_towards_the_old_space() {
    // The only vector of the new model is far from the old vector of its class. With the old space
    // frozen it moves towards that vector, and the old vectors do not move.
    let new = array![[4.0_f32, 0.0]];
    let old = array![[0.0_f32, 0.0], [3.0, 3.0]];
    let outcome = TripletLoss::batch_hard()
        .evaluation(new.view(), &Labels::from_iter(["ann"]))
        .frozen(old.view(), &Labels::from_iter(["ann", "bob"]))
        .run()
        .unwrap();
    assert_eq!((outcome.census.triplets, outcome.census.anchors), (1, 1));
    assert_eq!(outcome.gradient.dim(), (1, 2));
    assert!(outcome.gradient[[0, 0]] > 0.0);
}

#[test]
fn frozen_errors_speak_of_the_frozen_vectors() {
    let current = random(18, 3, 2);
    let labels = Labels::from_iter([0, 0, 1]);
    let mut frozen = random(19, 2, 2);
    frozen[[1, 0]] = f32::NAN;
    let loss = TripletLoss::batch_hard();
    let two = Labels::from_iter([0, 1]);
    let error =
        loss.evaluation(current.view(), &labels).frozen(frozen.view(), &two).run().unwrap_err();
    assert!(error.to_string().starts_with("among the frozen vectors: row 1, column 0"), "{error}");
    let error =
        loss.evaluation(current.view(), &labels).frozen(frozen.view(), &labels).run().unwrap_err();
    assert!(matches!(error, Error::Frozen(_)));
    let wide = random(20, 2, 3);
    let error =
        loss.evaluation(current.view(), &labels).frozen(wide.view(), &two).run().unwrap_err();
    assert!(matches!(error, Error::DimensionMismatch { queries: 2, gallery: 3 }));
}

#[test]
fn a_memory_is_a_ring_without_shadows() {
    let mut memory = Memory::new(5, 2);
    let labels = Labels::from_iter(["a", "b", "c"]);
    for step in 0..3_u64 {
        let vectors = Array2::from_elem((3, 2), step as f32);
        let items = [3 * step, 3 * step + 1, 3 * step + 2];
        memory.push(vectors.view(), &labels, &items).unwrap();
    }
    assert_eq!((memory.len(), memory.capacity(), memory.is_empty()), (5, 5, false));
    let (vectors, kept) = memory.without(&[7]);
    assert_eq!(vectors.column(0).to_vec(), [1.0, 1.0, 2.0, 2.0]);
    assert_eq!(kept, Labels::from_iter(["b", "c", "a", "c"]));
    let (everything, names, all_items) = memory.entries();
    assert_eq!(all_items, [4, 5, 6, 7, 8]);
    let mut again = Memory::new(5, 2);
    again.push(everything.view(), &names, &all_items).unwrap();
    for memory in [&mut memory, &mut again] {
        memory.push(Array2::ones((1, 2)).view(), &Labels::from_iter(["d"]), &[9]).unwrap();
    }
    assert_eq!(memory.entries(), again.entries());
    let mut memory = Memory::new(5, 2);
    memory.push(everything.view(), &names, &all_items).unwrap();

    let current = random(21, 3, 2);
    let items = [100, 7, 101];
    for objective in Preset::ALL.map(Preset::loss) {
        let got = memory.evaluate(objective, current.view(), &labels, &items).unwrap();
        let all = concatenate(Axis(0), &[current.view(), vectors.view()]).unwrap();
        let whole = objective.evaluate(all.view(), &labels.chain(&kept)).unwrap();
        assert!(got.census.triplets < whole.census.triplets);
        // Anchors a (2 other a, 5 others…): a has one in the bank, b one, c two; M = 4, B = 3.
        assert_eq!(got.census.triplets, 5 + 5 + 2 * 4);
    }
    assert!(memory.push(current.view(), &labels, &[1]).is_err());
    assert!(memory.push(random(1, 3, 4).view(), &labels, &items).is_err());
    let mut large = Memory::new(2, 2);
    large.push(current.view(), &labels, &items).unwrap();
    assert_eq!(large.without(&[]).1, Labels::from_iter(["b", "c"]));
    large.clear();
    assert!(large.is_empty());
    let mut none = Memory::new(0, 2);
    none.push(current.view(), &labels, &items).unwrap();
    assert_eq!(none.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Coordinates on a small grid: ties and duplicates everywhere, and all arithmetic exact.
    #[test]
    fn ties_and_duplicates_with_frozen_candidates_and_names(
        grid in prop::collection::vec(-2_i8..3, 32),
        classes in prop::collection::vec(0_u32..4, 16),
        batch in 0_usize..16,
        margin in 0_u8..3,
    ) {
        let values = grid.iter().map(|&x| f32::from(x)).collect();
        let vectors = Array2::from_shape_vec((16, 2), values).unwrap();
        let (current, frozen) = (vectors.slice(s![..batch, ..]), vectors.slice(s![batch.., ..]));
        let labels = Labels::from_iter(&classes);
        let (own, others) =
            (Labels::from_iter(&classes[..batch]), Labels::from_iter(&classes[batch..]));
        for selection in selections() {
            if matches!(selection, Selection::DistanceWeighted { .. }) {
                continue;
            }
            let loss = TripletLoss { selection, ..TripletLoss::batch_all() }
                .with_margin(f32::from(margin));
            let got = loss.evaluation(current, &own).frozen(frozen, &others).run().unwrap();
            let expected = reference::evaluate_anchors(&loss, &rows(&vectors), &classes, batch);
            check_outcome(&got, &expected, &loss);
            let triplets =
                selection.triplets(vectors.view(), &labels, loss.metric, f32::from(margin)).unwrap();
            let expected = reference::select(&loss, &rows(&vectors), &classes, 16, None);
            prop_assert_eq!(names(&triplets), expected, "{}", selection);
        }
        let loss = Lifted::default().with_margin(f32::from(margin) - 3.0);
        let got = loss.evaluation(current, &own).frozen(frozen, &others).run().unwrap();
        check_outcome(
            &got,
            &reference::evaluate_lifted(&loss, &rows(&vectors), &classes, batch),
            &loss,
        );
    }
}
