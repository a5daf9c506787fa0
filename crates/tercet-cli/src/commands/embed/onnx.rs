//! The flags that tell how an ONNX file is used.

use std::path::{Path, PathBuf};

use clap::Args;
use tercet_train::data::Fit;
use tercet_train::onnx::{Layout, OnnxEncoder, OnnxOptions};

use crate::General;
use crate::progress;

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Embed with the network of an ONNX file instead of a model. Files of `tercet export` say all
    /// that follows themselves.
    #[arg(long, value_name = "FILE")]
    pub(super) onnx: Option<PathBuf>,
    /// The image that enters the network, where it takes any size: WIDTHxHEIGHT, or one number for
    /// a square.
    #[arg(long, value_name = "PIXELS", value_parser = size, requires = "onnx")]
    size: Option<(u32, u32)>,
    /// How images of another shape are brought to it: crop, pad, stretch [default: crop].
    #[arg(long, requires = "onnx")]
    fit: Option<Fit>,
    /// Subtracted from each channel, whose values are from 0 to 1 [default: ImageNet's
    /// 0.485,0.456,0.406; 0 for grey].
    #[arg(long, value_name = "M,…", value_delimiter = ',', allow_negative_numbers = true, requires = "onnx")]
    mean: Option<Vec<f32>>,
    /// Each channel is divided by this afterwards [default: ImageNet's 0.229,0.224,0.225; 1 for
    /// grey].
    #[arg(long, value_name = "S,…", value_delimiter = ',', requires = "onnx")]
    std: Option<Vec<f32>>,
    /// nchw or nhwc, where the file does not tell.
    #[arg(long, requires = "onnx")]
    layout: Option<Layout>,
    /// The output that holds the embeddings [default: the first].
    #[arg(long, value_name = "NAME", requires = "onnx")]
    output: Option<String>,
    /// Bring embeddings to length 1.
    #[arg(long, requires = "onnx")]
    normalize: bool,
}

impl Flags {
    /// Reads the file; how images are prepared for one that does not say so is told.
    pub(super) fn load(&self, general: &General, file: &Path) -> anyhow::Result<OnnxEncoder> {
        let encoder = OnnxEncoder::load(
            file,
            &OnnxOptions {
                size: self.size,
                fit: self.fit,
                mean: self.mean.clone(),
                std: self.std.clone(),
                layout: self.layout,
                output: self.output.clone(),
                normalize: self.normalize,
            },
        )?;
        if encoder.card.is_none() {
            let input = encoder.preprocessing();
            progress::remark(
                general,
                format!(
                    "note: images enter {} at {}×{}, as (x/255 − mean)/std with mean {:?} and std {:?}",
                    file.display(),
                    input.width,
                    input.height,
                    input.mean,
                    input.std
                ),
            );
        }
        Ok(encoder)
    }
}

/// `WIDTHxHEIGHT`, or one number for both.
fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |text: &str| {
        text.parse().map_err(|_| "expected WIDTHxHEIGHT or one number, in pixels".to_owned())
    };
    match text.split_once('x') {
        Some((width, height)) => Ok((side(width)?, side(height)?)),
        None => side(text).map(|side| (side, side)),
    }
}
