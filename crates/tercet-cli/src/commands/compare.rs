//! `tercet compare`: decides whether pictures show the same thing, or texts are of one class.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use ndarray::Array2;
use serde_json::json;
use tercet_train::data::decode_file;
use tercet_train::model::Model;
use tercet_train::reading::read_text;

use super::threshold::{Deciding, Threshold};
use crate::General;
use crate::exit::Usage;
use crate::table::{Column, Table, number, share};

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// A model file of `tercet train`.
    model: PathBuf,
    /// The pictures; for a model of texts the texts themselves.
    #[arg(required_unless_present = "texts", num_args = 2.., value_name = "IMAGES")]
    items: Vec<PathBuf>,
    /// Compare the texts of this file, one on each line.
    #[arg(long, value_name = "FILE", conflicts_with = "items")]
    texts: Option<PathBuf>,
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
        let reads_texts = model.card.preprocessing.texts().is_ok();
        let (names, vectors) = match &self.texts {
            Some(file) => self.of_texts(&model, lines(file)?)?,
            None if reads_texts => self.of_texts(&model, arguments(&self.items)?)?,
            None => {
                let pictures = self.items.iter().map(|path| decode_file(path));
                let pictures = pictures.collect::<Result<Vec<_>, _>>()?;
                let names = self.items.iter().map(|path| path.display().to_string()).collect();
                (names, model.embed_images(&pictures)?)
            }
        };
        let distances = model.metric().distances(vectors.view(), vectors.view())?;
        let compared = Compared {
            items: &names,
            what: if reads_texts { "texts" } else { "images" },
            distances,
            threshold,
            model: &model,
        };
        super::print(general, &compared.document(&self.model), || compared.text())?;
        Ok(ExitCode::SUCCESS)
    }

    /// Texts and their embeddings.
    fn of_texts(
        &self,
        model: &Model,
        texts: Vec<String>,
    ) -> anyhow::Result<(Vec<String>, Array2<f32>)> {
        let some: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = model.embed_texts(&some, &|_| ControlFlow::Continue(()))?;
        Ok((texts, vectors))
    }
}

/// The lines of a file that are not empty.
fn lines(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = read_text(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match lines.len() {
        0 | 1 => bail!("{}: {} texts, expected two lines or more", file.display(), lines.len()),
        _ => Ok(lines),
    }
}

/// Arguments that are texts.
fn arguments(items: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let text = |item: &PathBuf| item.to_str().map(str::to_owned);
    items.iter().map(text).collect::<Option<_>>().ok_or_else(|| {
        Usage(
            "a text is not in UTF-8: write the texts into a file, and name it with --texts"
                .to_owned(),
        )
        .into()
    })
}

struct Compared<'a> {
    items: &'a [String],
    /// What the items are: `images` or `texts`.
    what: &'static str,
    distances: Array2<f32>,
    threshold: Option<Threshold>,
    model: &'a Model,
}

impl Compared<'_> {
    /// The indices of every pair of pictures, with their distance.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize, f32)> {
        let count = self.items.len();
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
                    (self.what): [one, other],
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
            (self.what): self.items,
            "threshold": self.threshold.map(|threshold| threshold.distance),
            "distances": rows.collect::<Vec<_>>(),
            "pairs": pairs,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if self.items.len() > 2 {
            let mut columns = vec![Column::Right; 1 + self.items.len()];
            columns.push(Column::Text);
            let mut matrix = Table::new(columns);
            let numbers = (1..=self.items.len()).map(|column| column.to_string());
            matrix.row(std::iter::once(String::new()).chain(numbers));
            for (own, item) in self.items.iter().enumerate() {
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
                let cells = (0..self.items.len()).map(cell);
                let cells = std::iter::once((own + 1).to_string()).chain(cells);
                matrix.row(cells.chain([item.clone()]));
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
                self.items[one].clone(),
                self.items[other].clone(),
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
            text += "\nThe share is the probability that the two are the same, if they were as likely\n\
                     to be the same as not before they were compared.";
        }
        if self.threshold.is_some() {
            let (two, one) = match self.what {
                "texts" => ("two texts", "a text"),
                _ => ("two pictures", "a picture"),
            };
            text += &format!(
                "\nThis is for {two}. To find {one} among many, use tercet gallery\n\
                 search: it decides by the size of the gallery."
            );
        }
        text
    }
}
