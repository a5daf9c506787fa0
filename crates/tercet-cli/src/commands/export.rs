//! `tercet export`: writes a model as an ONNX file for other programs.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use tercet_train::data::Input;
use tercet_train::encoder::InputShape;
use tercet_train::files::write_atomically;
use tercet_train::model::Model;
use tercet_train::onnx::{IMAGES, OPSET, OUTPUT, VECTORS};

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

/// The name of the first input of a graph of texts.
const TOKENS: &str = "input_ids";

/// The name of the file with a tokeniser.
const TOKENIZER: &str = "tokenizer.json";

impl Export {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        Outputs::default()
            .file("--onnx", Some(&self.onnx), &["onnx"])?
            .differ_from([self.model.as_path()])?;
        super::check_writable(&self.onnx)?;
        let model = Model::load(&self.model)?;
        let bytes = tercet_onnx::export(&model)?;
        let tokenizer = self.write_tokenizer(&model)?;
        write_atomically(&self.onnx, &bytes)?;

        let card = &model.card;
        let InputShape { channels, height, width } = card.preprocessing.shape();
        let (name, sides, meaning) = match card.preprocessing {
            Input::Images(_) => (IMAGES, vec![channels, height, width], "pixels from 0 to 255"),
            Input::Vectors(_) => (VECTORS, vec![channels], "as the source has them"),
            Input::Texts(_) => (TOKENS, Vec::new(), "ids of tokens, with attention_mask"),
        };
        let dimensions = card.dimensions();
        let mut shape = vec![json!("batch")];
        shape.extend(sides.iter().map(|side| json!(side)));
        if sides.is_empty() {
            shape.push(json!("tokens"));
        }
        let result = json!({
            "onnx": self.onnx,
            "model": self.model,
            "fingerprint": model.fingerprint,
            "encoder": card.encoder.name(),
            "opset": card.backbone.is_none().then_some(OPSET),
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
            "tokenizer": tokenizer,
        });
        super::print(general, &result, || {
            let input = match sides.is_empty() {
                true => "int64 N×T".to_owned(),
                false => {
                    let sides: Vec<String> = sides.iter().map(usize::to_string).collect();
                    format!("float32 N×{}", sides.join("×"))
                }
            };
            let mut text = format!(
                "{}{} written to {}, {} bytes\n\
                 input   {name}: {input}, {meaning}\n\
                 output  {OUTPUT}: float32 N×{dimensions}{}",
                card.backbone.as_ref().map_or_else(String::new, |of| format!("{} and ", of.name)),
                card.encoder.name(),
                self.onnx.display(),
                count(bytes.len()),
                if card.normalized { ", of length 1" } else { "" },
            );
            if let Some(tokenizer) = &tokenizer {
                text += &format!("\nits tokeniser is {}", tokenizer.display());
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// Writes the tokeniser of a model of texts beside the graph. None for other models.
    fn write_tokenizer(&self, model: &Model) -> anyhow::Result<Option<PathBuf>> {
        let tokenizer = model.backbone().and_then(|opened| opened.files.get(TOKENIZER));
        let Some(tokenizer) = tokenizer else { return Ok(None) };
        let path = self.onnx.with_file_name(TOKENIZER);
        if fs::read(&path).is_ok_and(|other| other != *tokenizer) {
            bail!(
                "{} is the tokeniser of another model: write the graph into a folder of its own",
                path.display()
            );
        }
        write_atomically(&path, tokenizer)?;
        Ok(Some(path))
    }
}
