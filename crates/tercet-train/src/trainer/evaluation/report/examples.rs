//! Held-out items in the report of a run: queries with their neighbours, and confused classes.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use ndarray::ArrayView2;
use tercet::neighbors::nearest_leave_one_out;
use tercet::retrieval::{Protocol, QueryJudgement};
use tercet_report::{ConfusedPair, Neighbour, Picture, Strip};

use crate::confusion::{confusions, sampled};
use crate::data::{Pixels, Preprocessing};
use crate::judgement::Judgement;
use crate::trainer::{TrainError, Trainer};

/// Number of queries shown, from the best ranking to the worst, each of a different class.
const STRIPS: usize = 12;

/// Largest number of neighbours shown for each query.
const NEIGHBORS: usize = 10;

/// Number of pairs of confused classes shown.
const CONFUSED: usize = 10;

impl Trainer<'_> {
    /// Queries ordered from the best ranking to the worst, each of a different class. Towards the
    /// worst they are chosen more densely, since those show more errors.
    pub(super) fn strips(
        &self,
        pixels: &Pixels,
        after: &Judgement,
        embeddings: ArrayView2<f32>,
    ) -> Result<Vec<Strip>, TrainError> {
        let mut queries: Vec<_> = after.retrieval.per_query.iter().collect();
        queries.sort_by(|x, y| {
            y.average_precision.total_cmp(&x.average_precision).then(x.query.cmp(&y.query))
        });
        let shown = STRIPS.min(queries.len());
        let last = shown.saturating_sub(1).max(1) as f64;
        let mut places: Vec<usize> = (0..shown)
            .map(|i| 1.0 - (1.0 - i as f64 / last).powi(2))
            .map(|share| (share * queries.len().saturating_sub(1) as f64).round() as usize)
            .collect();
        places.dedup();
        let chosen = of_different_classes(&queries, &places, self.setup.holdout.classes());
        let rows: Vec<u32> = chosen.iter().map(|query| query.query).collect();
        let found = nearest_leave_one_out(embeddings, &rows, NEIGHBORS, self.setup.metric)?;
        let classes = self.setup.holdout.classes();
        chosen
            .iter()
            .zip(found)
            .map(|(query, found)| {
                let relevant = usize::try_from(query.relevant).unwrap_or(NEIGHBORS);
                let neighbours = found.iter().take(relevant).map(|neighbor| {
                    Ok(Neighbour {
                        picture: self.picture(pixels, neighbor.index)?,
                        distance: f64::from(neighbor.distance),
                        right: classes[neighbor.index as usize] == classes[query.query as usize],
                    })
                });
                Ok(Strip {
                    query: self.picture(pixels, query.query)?,
                    neighbours: neighbours.collect::<Result<_, TrainError>>()?,
                    average_precision: query.average_precision,
                })
            })
            .collect()
    }

    /// The pairs of classes with the most errors among the R nearest neighbours.
    pub(super) fn confused(
        &self,
        after: &Judgement,
        embeddings: ArrayView2<f32>,
    ) -> Result<Vec<ConfusedPair>, TrainError> {
        let (queries, nearest) = sampled(&after.retrieval.per_query);
        let labels = &self.setup.holdout;
        let examples = Protocol::new(self.setup.metric)
            .examples_leave_one_out(&queries, embeddings, labels, nearest)?;
        confusions(&examples, labels, labels, CONFUSED)
            .into_iter()
            .map(|confusion| {
                let (query, found, distance) = confusion.example;
                Ok(ConfusedPair {
                    classes: confusion.classes,
                    errors: confusion.errors,
                    places: confusion.places,
                    example: [self.example(query)?, self.example(found)?],
                    distance: f64::from(distance),
                })
            })
            .collect()
    }

    /// A held-out item, with its picture if the source has images.
    fn example(&self, holdout: u32) -> Result<Picture, TrainError> {
        if let Some(pixels) = self.setup.prepared.examples.pixels() {
            return self.picture(pixels, holdout);
        }
        let item = self.setup.prepared.split.holdout[holdout as usize] as usize;
        Ok(Picture {
            png: Vec::new(),
            label: self
                .setup
                .holdout
                .name(self.setup.holdout.classes()[holdout as usize])
                .to_owned(),
            id: self.setup.prepared.examples.catalogue().items[item].id.clone(),
        })
    }

    /// A held-out item as the encoder sees it.
    fn picture(&self, pixels: &Pixels, holdout: u32) -> Result<Picture, TrainError> {
        let item = self.setup.prepared.split.holdout[holdout as usize] as usize;
        Ok(Picture {
            png: png(&pixels.item(item)?, pixels.preprocessing())?,
            label: self
                .setup
                .holdout
                .name(self.setup.holdout.classes()[holdout as usize])
                .to_owned(),
            id: pixels.catalogue().items[item].id.clone(),
        })
    }
}

/// The queries at the given positions of an order. A query whose class is shown already is replaced
/// by the next one of a new class (or, if there is none, by the closest one before), so that no
/// class is shown twice.
fn of_different_classes<'a>(
    ordered: &[&'a QueryJudgement],
    places: &[usize],
    classes: &[u32],
) -> Vec<&'a QueryJudgement> {
    let mut shown: Vec<u32> = Vec::new();
    let mut chosen: Vec<(usize, &QueryJudgement)> = Vec::new();
    for &place in places {
        let mut from_here = (place..ordered.len()).chain((0..place).rev());
        let is_new = |at: &usize| !shown.contains(&classes[ordered[*at].query as usize]);
        if let Some(at) = from_here.find(is_new) {
            shown.push(classes[ordered[at].query as usize]);
            chosen.push((at, ordered[at]));
        }
    }
    chosen.sort_by_key(|(at, _)| *at);
    chosen.into_iter().map(|(_, query)| query).collect()
}

fn png(pixels: &[u8], preprocessing: &Preprocessing) -> Result<Vec<u8>, TrainError> {
    let Preprocessing { width, height, channels, .. } = *preprocessing;
    let image = if channels == 1 {
        GrayImage::from_raw(width, height, pixels.to_vec()).map(DynamicImage::from)
    } else {
        // The encoder has one plane per channel, the picture has three values per pixel.
        let plane = (width * height) as usize;
        let triples =
            (0..plane).flat_map(|at| [pixels[at], pixels[plane + at], pixels[2 * plane + at]]);
        RgbImage::from_raw(width, height, triples.collect()).map(DynamicImage::from)
    };
    let mut bytes = Cursor::new(Vec::new());
    image
        .ok_or_else(|| "a picture of unexpected size".to_owned())
        .and_then(|image| {
            image.write_to(&mut bytes, ImageFormat::Png).map_err(|error| error.to_string())
        })
        .map_err(TrainError::Report)?;
    Ok(bytes.into_inner())
}
