//! `tercet compare`: decides whether pictures show the same thing.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ndarray::Array2;
use serde_json::json;
use tercet_train::data::decode_file;
use tercet_train::model::Model;

use super::threshold::{Deciding, Threshold};
use crate::General;
use crate::table::{Column, Table, number, share};

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// A model file of `tercet train`.
    model: PathBuf,
    /// The pictures.
    #[arg(required = true, num_args = 2..)]
    images: Vec<PathBuf>,
    #[command(flatten)]
    deciding: Deciding,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

impl Compare {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::use_threads(self.threads)?;
        let model = Model::load(&self.model)?;
        let threshold = self.deciding.threshold(Some(&model.card))?;
        let pictures =
            self.images.iter().map(|path| decode_file(path)).collect::<Result<Vec<_>, _>>()?;
        let vectors = model.embed_images(&pictures)?;
        let distances = model.metric().distances(vectors.view(), vectors.view())?;
        let compared = Compared { images: &self.images, distances, threshold, model: &model };
        super::print(general, &compared.document(&self.model), || compared.text())?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Compared<'a> {
    images: &'a [PathBuf],
    distances: Array2<f32>,
    threshold: Option<Threshold>,
    model: &'a Model,
}

impl Compared<'_> {
    /// The indices of every pair of pictures, with their distance.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize, f32)> {
        let count = self.images.len();
        (0..count).flat_map(move |one| {
            (one + 1..count).map(move |other| (one, other, self.distances[[one, other]]))
        })
    }

    fn same(&self, distance: f32) -> Option<bool> {
        self.threshold.map(|threshold| distance < threshold.distance)
    }

    fn document(&self, path: &std::path::Path) -> serde_json::Value {
        let pairs: Vec<_> = self
            .pairs()
            .map(|(one, other, distance)| {
                json!({
                    "images": [one, other],
                    "distance": distance,
                    "same": self.same(distance),
                    "probability": self.model.card.probability(distance),
                })
            })
            .collect();
        let rows = self.distances.outer_iter().enumerate().map(|(own, row)| {
            let distance =
                |(other, &distance): (usize, &f32)| if own == other { 0.0 } else { distance };
            row.iter().enumerate().map(distance).collect::<Vec<f32>>()
        });
        json!({
            "model": path,
            "fingerprint": self.model.fingerprint,
            "distance": self.model.card.distance,
            "normalized": self.model.card.normalized,
            "images": self.images,
            "threshold": self.threshold.map(|threshold| threshold.distance),
            "distances": rows.collect::<Vec<_>>(),
            "pairs": pairs,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let named = |image: &PathBuf| image.display().to_string();
        if self.images.len() > 2 {
            let mut columns = vec![Column::Right; 1 + self.images.len()];
            columns.push(Column::Text);
            let mut matrix = Table::new(columns);
            let numbers = (1..=self.images.len()).map(|column| column.to_string());
            matrix.row(std::iter::once(String::new()).chain(numbers));
            for (own, image) in self.images.iter().enumerate() {
                let cell = |other: usize| {
                    let distance = self.distances[[own, other]];
                    match own == other {
                        true => "–".to_owned(),
                        false if self.same(distance) == Some(true) => {
                            format!("= {}", number(f64::from(distance)))
                        }
                        false => number(f64::from(distance)),
                    }
                };
                let cells = (0..self.images.len()).map(cell);
                let cells = std::iter::once((own + 1).to_string()).chain(cells);
                matrix.row(cells.chain([named(image)]));
            }
            text += &(matrix.text() + "\n\n");
        }
        let mut table =
            Table::new([Column::Left, Column::Right, Column::Right, Column::Text, Column::Text]);
        for (one, other, distance) in self.pairs() {
            let verdict = match self.same(distance) {
                Some(true) => "same",
                Some(false) => "different",
                None => "",
            };
            table.row([
                verdict.to_owned(),
                number(f64::from(distance)),
                self.model.card.probability(distance).map_or_else(String::new, share),
                named(&self.images[one]),
                named(&self.images[other]),
            ]);
        }
        text += &(table.text() + "\n");
        text += &match self.threshold {
            Some(threshold) => format!("\nsame: nearer than {threshold}"),
            None => {
                "\nthe model has no threshold, since no classes were held out: give --threshold"
                    .to_owned()
            }
        };
        if self.model.card.calibration.is_some() {
            text += "\nThe share is the probability that the two are the same, if they were as likely to be\n\
                     the same as not before they were compared.";
        }
        if self.threshold.is_some() {
            text += "\nThis is for two pictures. To find a picture among many, use tercet gallery search: it\n\
                     decides by the size of the gallery.";
        }
        text
    }
}
