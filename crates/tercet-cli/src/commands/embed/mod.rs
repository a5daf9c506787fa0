//! `tercet embed`: computes the embeddings of the items of a source.

mod network;
mod onnx;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use tercet_train::Views;
use tercet_train::data::LabelFrom;
use tercet_train::embeddings::{Embeddings, Format};
use tercet_train::model::{Model, prefix};

use crate::exit::Usage;
use crate::outputs::Outputs;
use crate::table::count;
use crate::{General, progress};
use network::Network;

const USAGE: &str = "tercet embed [OPTIONS] --out <OUT> <MODEL> <SOURCE>\n       \
                     tercet embed [OPTIONS] --out <OUT> --onnx <FILE> <SOURCE>";

#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Embed {
    /// A model file of `tercet train`, and the source: `kind:PATH`, or a path whose kind is
    /// recognised.
    #[arg(value_names = ["MODEL", "SOURCE"], num_args = 1..=2, required = true)]
    operands: Vec<String>,
    /// For `features` sources without labels: `.npy` of integers, or text with one label on each
    /// line.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Take the class from the names of the files in a folder: a regular expression with one group,
    /// such as '^(\d+)_'. With a `/` in it, it is matched with the path in the folder.
    #[arg(long, value_name = "REGEX")]
    label_from: Option<LabelFrom>,
    /// Where the embeddings go: `.safetensors` or `.parquet` (with labels and ids), or `.npy` (numbers
    /// alone).
    #[arg(long, short)]
    out: PathBuf,
    /// Embed the mean of several views of a picture: single, flip, crops, crops-flip (1, 2, 5, 10
    /// views).
    #[arg(long, default_value_t)]
    views: Views,
    /// Write only the first D components, normalised by themselves where the model normalises: for
    /// models of `train --matryoshka` [default: all].
    #[arg(long, value_name = "D")]
    dimensions: Option<usize>,
    /// Leave unreadable items out instead of failing.
    #[arg(long)]
    skip_bad: bool,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    onnx: onnx::Flags,
}

impl Embed {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::use_threads(self.threads)?;
        // Check this before the long work starts.
        Format::of(&self.out)?.check(&self.out)?;
        let outputs = Outputs::default().file("--out", Some(&self.out), &[])?;
        let operands = self.operands.iter().map(Path::new);
        outputs.differ_from(operands.chain(self.onnx.onnx.as_deref()))?;
        super::check_writable(&self.out)?;
        let (network, file, source) = self.operands(general)?;
        let source = super::source(source, self.labels.as_deref(), self.label_from.as_ref())?;
        outputs.differ_from_source(&source)?;
        let catalogue = source.catalogue()?;
        outputs.differ_from_items(&catalogue)?;
        let (examples, skipped) =
            super::prepare(general, network.input(), catalogue, self.skip_bad, self.views)?;
        let items: Vec<u32> = (0..examples.len() as u32).collect();
        let vectors = super::with_bar(general, &items, |progress| {
            network.embed(&examples, &items, self.views, progress)
        })?;

        let vectors = match self.dimensions {
            Some(dimensions) => prefix(vectors, dimensions, network.is_normalized())?,
            None => vectors,
        };
        if let Some(warning) = self.dimensions.and_then(|d| network.untrained_prefix(d)) {
            progress::remark(general, format!("warning: {warning}"));
        }

        let catalogue = examples.catalogue();
        let labels = &catalogue.labels;
        let (rows, dimensions) = vectors.dim();
        let embeddings = Embeddings {
            vectors,
            labels: catalogue.labelled.then(|| {
                labels.classes().iter().map(|&class| labels.name(class).to_owned()).collect()
            }),
            ids: Some(catalogue.items.iter().map(|item| item.id.clone()).collect()),
            model: Some(network.fingerprint().to_owned()),
        };
        embeddings.save(&self.out)?;
        let result = json!({
            "out": self.out,
            "model": file,
            "fingerprint": network.fingerprint(),
            "source": catalogue.source,
            "items": rows,
            "classes": labels.class_count(),
            "dimensions": dimensions,
            "normalized": network.is_normalized(),
            "skipped": skipped,
        });
        super::print(general, &result, || {
            format!(
                "{} embeddings of {} dimensions from {} in {}",
                count(rows),
                dimensions,
                catalogue.source,
                self.out.display()
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// The network, its file, and the source.
    fn operands(&self, general: &General) -> anyhow::Result<(Network, PathBuf, &str)> {
        match (&self.onnx.onnx, &self.operands[..]) {
            (None, [model, source]) => {
                let file = PathBuf::from(model);
                Ok((Network::Model(Box::new(Model::load(&file)?)), file, source))
            }
            (None, _) => bail!(Usage(
                "one operand: expected a model and a source, as tercet embed MODEL SOURCE"
                    .to_owned()
            )),
            (Some(file), [source]) => {
                let encoder = self.onnx.load(general, file)?;
                Ok((Network::Onnx(Box::new(encoder)), file.clone(), source))
            }
            (Some(_), operands) => bail!(Usage(format!(
                "{} operands: expected the source alone, since --onnx names the encoder",
                operands.len()
            ))),
        }
    }
}
