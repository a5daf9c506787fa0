//! What the tests have in common.

use ndarray::Array2;
use tercet::{Distance, Metric};
use tercet_gallery::{Duplicates, Item, Settings, Vectors, WriteGallery};

pub(crate) const MODEL: &str = "5f0c";

pub(crate) fn settings(dimensions: usize) -> Settings {
    Settings {
        dimensions,
        metric: Metric::from(Distance::Euclidean),
        model: MODEL.into(),
        quantization: None,
    }
}

/// Vectors that look random and depend on `seed` alone.
pub(crate) fn vectors(rows: usize, dimensions: usize, seed: u64) -> Array2<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Array2::from_shape_fn((rows, dimensions), |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

pub(crate) fn of(rows: &Array2<f32>) -> Vectors<'_> {
    Vectors { model: MODEL, rows: rows.view() }
}

/// Items `from..from + rows`, in ten classes, seen by three cameras.
pub(crate) fn items(from: usize, rows: usize) -> Vec<Item> {
    let item = |of: usize| {
        let item = Item::new(format!("item-{of}")).labelled(format!("class-{}", of % 10));
        item.with("camera", (of % 3).to_string())
    };
    (from..from + rows).map(item).collect()
}

/// Adds `rows` items after the first `from`, with vectors that depend on `from` alone.
pub(crate) fn fill(writer: &mut dyn WriteGallery, from: usize, rows: usize) -> Array2<f32> {
    let vectors = vectors(rows, writer.settings().dimensions, from as u64 + 1);
    writer.add(of(&vectors), &items(from, rows), Duplicates::Refuse).unwrap();
    vectors
}
