//! The objectives against their definitions triplet by triplet, and on any numbers at all.
//!
//! The first eight bytes choose the objective and the dimensions. The rest are items: a byte for
//! the class, and a byte (on a small grid, where all arithmetic is exact) or four (any f32) for each
//! coordinate.

use ndarray::Array2;
use tercet::objective::reference;
use tercet::{
    Distance, Labels, Lifted, Metric, MultiSimilarity, Objective, Penalty, Reduction, Selection,
    SupervisedContrastive, TripletLoss,
};

pub(crate) fn check(bytes: &[u8]) {
    let Some((&[mode, distance, selection, penalty, margin, reduction, dimensions, seed], items)) =
        bytes.split_first_chunk()
    else {
        return;
    };
    let any_numbers = mode % 2 == 1;
    let dimensions = usize::from(dimensions) % 4 + 1;
    let width = 1 + dimensions * if any_numbers { 4 } else { 1 };
    let items: Vec<&[u8]> = items.chunks_exact(width).take(40).collect();
    let classes: Vec<u32> = items.iter().map(|item| u32::from(item[0] % 5)).collect();
    let values: Vec<f32> = items
        .iter()
        .flat_map(|item| {
            let coordinates = &item[1..];
            (0..dimensions).map(move |k| match any_numbers {
                true => coordinates.as_chunks().0.get(k).map_or(0.0, |&b| f32::from_le_bytes(b)),
                false => f32::from(coordinates[k] % 5) - 2.0,
            })
        })
        .collect();
    let Ok(vectors) = Array2::from_shape_vec((items.len(), dimensions), values) else { return };
    let labels = Labels::from_iter(&classes);

    let choose = |count: usize, byte: u8| usize::from(byte) % count;
    let metric = Metric {
        distance: Distance::ALL[choose(Distance::ALL.len(), distance)],
        normalize: any_numbers && distance >= 128,
    };
    let selection = Selection::ALL[choose(Selection::ALL.len(), selection)];
    let margin = f32::from(margin % 4);
    let loss = TripletLoss {
        metric,
        selection: selection.with_seed(u64::from(seed)),
        penalty: match penalty % 3 {
            0 => Penalty::Hinge { margin },
            1 => Penalty::Soft { margin },
            _ => Penalty::SquaredHinge { margin },
        },
        reduction: Reduction::ALL[choose(Reduction::ALL.len(), reduction)],
    };
    let reduction = loss.reduction;
    let objectives: [Objective; 4] = [
        loss.into(),
        Lifted { metric, margin, reduction }.into(),
        MultiSimilarity { metric, base: margin, reduction, ..Default::default() }.into(),
        SupervisedContrastive { metric, reduction, ..Default::default() }.into(),
    ];
    for objective in objectives {
        let Ok(outcome) = objective.evaluate(vectors.view(), &labels) else { continue };
        assert_eq!(outcome.gradient.dim(), vectors.dim());
        // Of longer vectors a gradient may leave the range of f32.
        if vectors.iter().all(|x| x.abs() < 1e9) {
            assert!(outcome.value.is_finite(), "{objective:?}");
            assert!(outcome.gradient.iter().all(|g| g.is_finite()), "{objective:?}");
        }
        // Cosines of the grid are no exact numbers: ties would break by rounding.
        if any_numbers || metric.distance == Distance::Cosine {
            continue;
        }
        let rows: Vec<Vec<f64>> =
            vectors.outer_iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
        let expected = match objective {
            Objective::Triplet(loss) => reference::evaluate(&loss, &rows, &classes),
            Objective::Lifted(loss) => {
                reference::evaluate_lifted(&loss, &rows, &classes, rows.len())
            }
            // Sums of exponentials of large distances overflow in the definitions.
            Objective::MultiSimilarity(_) | Objective::SupervisedContrastive(_) => continue,
        };
        let census = outcome.census;
        assert_eq!(
            (census.triplets, census.selected, census.active, census.violated),
            (expected.triplets, expected.selected, expected.active, expected.violated),
            "{objective:?}"
        );
        let difference = (outcome.value - expected.value).abs();
        assert!(
            difference <= 1e-5 * expected.value.abs() + 1e-6,
            "{objective:?}: {} instead of {}",
            outcome.value,
            expected.value
        );
    }
}
