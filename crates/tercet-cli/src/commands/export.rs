//! `tercet export`: writes a model as an ONNX file for other programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tercet_train::data::Input;
use tercet_train::encoder::InputShape;
use tercet_train::files::write_atomically;
use tercet_train::model::Model;
use tercet_train::onnx::{self, IMAGES, OPSET, OUTPUT, VECTORS};

use crate::General;
use crate::outputs::Outputs;
use crate::table::count;

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A model file of `tercet train`.
    model: PathBuf,
    /// Where the ONNX file goes.
    #[arg(long, value_name = "FILE")]
    onnx: PathBuf,
}

impl Export {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        Outputs::default()
            .file("--onnx", Some(&self.onnx), &["onnx"])?
            .differ_from([self.model.as_path()])?;
        super::check_writable(&self.onnx)?;
        let model = Model::load(&self.model)?;
        let bytes = onnx::export(&model)?;
        write_atomically(&self.onnx, &bytes)?;

        let card = &model.card;
        let InputShape { channels, height, width } = card.preprocessing.shape();
        let (name, sides, meaning) = match card.preprocessing {
            Input::Images(_) => (IMAGES, vec![channels, height, width], "pixels from 0 to 255"),
            Input::Vectors(_) => (VECTORS, vec![channels], "as the source has them"),
            Input::Texts(_) => (VECTORS, vec![channels], "tokens"),
        };
        let dimensions = card.encoder.embedding_dim(card.preprocessing.shape());
        let mut shape = vec![json!("batch")];
        shape.extend(sides.iter().map(|side| json!(side)));
        let result = json!({
            "onnx": self.onnx,
            "model": self.model,
            "fingerprint": model.fingerprint,
            "encoder": card.encoder.name(),
            "opset": OPSET,
            "bytes": bytes.len(),
            "input": {
                "name": name,
                "shape": shape,
                "values": meaning,
            },
            "output": {
                "name": OUTPUT,
                "shape": [json!("batch"), json!(dimensions)],
                "normalized": card.normalized,
            },
        });
        super::print(general, &result, || {
            format!(
                "{} written to {}, {} bytes, opset {OPSET}\n\
                 input   {name}: float32 N×{}, {meaning}\n\
                 output  {OUTPUT}: float32 N×{dimensions}{}",
                card.encoder.name(),
                self.onnx.display(),
                count(bytes.len()),
                sides.iter().map(usize::to_string).collect::<Vec<_>>().join("×"),
                if card.normalized { ", of length 1" } else { "" },
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
