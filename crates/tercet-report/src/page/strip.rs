//! Queries with their nearest neighbours, as the page shows them.

use crate::number::{percent, significant};
use crate::parts::{Picture, Strip};
use crate::picture::Inline;

/// A query with its results.
#[derive(Debug)]
pub(crate) struct StripView<'report> {
    pub(crate) precision: String,
    pub(crate) right: usize,
    /// Whether there is any picture; texts and plain vectors have none.
    pub(crate) pictured: bool,
    pub(crate) query: PictureView<'report>,
    pub(crate) neighbours: Vec<NeighbourView<'report>>,
}

#[derive(Debug)]
pub(crate) struct NeighbourView<'report> {
    pub(crate) picture: PictureView<'report>,
    pub(crate) distance: String,
    pub(crate) right: bool,
}

#[derive(Debug)]
pub(crate) struct PictureView<'report> {
    pub(crate) picture: &'report Picture,
    pub(crate) inline: Option<Inline>,
}

impl<'report> StripView<'report> {
    pub(crate) fn of(strip: &'report Strip) -> Self {
        let pictures = || strip.neighbours.iter().map(|found| &found.picture).chain([&strip.query]);
        Self {
            precision: percent(strip.average_precision),
            right: strip.neighbours.iter().filter(|neighbour| neighbour.right).count(),
            pictured: pictures().any(|picture| !picture.png.is_empty()),
            query: PictureView::of(&strip.query),
            neighbours: strip
                .neighbours
                .iter()
                .map(|neighbour| NeighbourView {
                    picture: PictureView::of(&neighbour.picture),
                    distance: significant(neighbour.distance),
                    right: neighbour.right,
                })
                .collect(),
        }
    }
}

impl<'report> PictureView<'report> {
    pub(super) fn of(picture: &'report Picture) -> Self {
        Self { picture, inline: Inline::of(&picture.png) }
    }
}
