//! `tercet export`: a model for other programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tercet_train::files::write_atomically;
use tercet_train::model::Model;
use tercet_train::onnx::{self, INPUT, OPSET, OUTPUT};

use crate::General;
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
        super::check_writable(&self.onnx)?;
        let model = Model::load(&self.model)?;
        let bytes = onnx::export(&model)?;
        let difference = onnx::check(&model, &bytes)?;
        write_atomically(&self.onnx, &bytes)?;

        let card = &model.card;
        let input = &card.preprocessing;
        let dimensions = card.encoder.embedding_dim();
        let result = json!({
            "onnx": self.onnx,
            "model": self.model,
            "fingerprint": model.fingerprint,
            "encoder": card.encoder.name(),
            "opset": OPSET,
            "bytes": bytes.len(),
            "input": {
                "name": INPUT,
                "shape": ["batch", input.channels, input.height, input.width],
                "pixels": [0, 255],
            },
            "output": {
                "name": OUTPUT,
                "shape": [json!("batch"), json!(dimensions)],
                "normalized": card.normalized,
            },
            "max_difference": difference,
        });
        super::print(general, &result, || {
            format!(
                "{} written to {}, {} bytes, opset {OPSET}\n\
                 input   {INPUT}: float32 N×{}×{}×{}, pixels from 0 to 255\n\
                 output  {OUTPUT}: float32 N×{dimensions}{}\n\
                 run on noise, it differs from the model by at most {difference:.1e}",
                card.encoder.name(),
                self.onnx.display(),
                count(bytes.len()),
                input.channels,
                input.height,
                input.width,
                if card.normalized { ", of length 1" } else { "" },
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
