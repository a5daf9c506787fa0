//! The pairs of classes that are confused, as the page shows them.

use super::strip::PictureView;
use crate::number::{grouped, percent, significant};
use crate::parts::ConfusedPair;

/// A pair of classes as the page shows it.
#[derive(Debug)]
pub(crate) struct ConfusedView<'report> {
    pub(crate) pair: &'report ConfusedPair,
    pub(crate) errors: String,
    pub(crate) places: String,
    pub(crate) share: String,
    pub(crate) distance: String,
    pub(crate) pictures: Option<[PictureView<'report>; 2]>,
}

impl<'report> ConfusedView<'report> {
    pub(crate) fn of(pair: &'report ConfusedPair) -> Self {
        let [query, found] = &pair.example;
        let pictured = !query.png.is_empty() || !found.png.is_empty();
        Self {
            pair,
            errors: grouped(pair.errors as f64),
            places: grouped(pair.places as f64),
            share: percent(pair.errors as f64 / pair.places.max(1) as f64),
            distance: significant(pair.distance),
            pictures: pictured.then(|| [PictureView::of(query), PictureView::of(found)]),
        }
    }
}
