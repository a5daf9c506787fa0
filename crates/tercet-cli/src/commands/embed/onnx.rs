//! The flags for ONNX files.

use std::path::{Path, PathBuf};

use clap::Args;
use tercet_onnx::{Layout, OnnxEncoder, OnnxError, OnnxOptions};
use tercet_train::data::{Fit, Input, TextInput, TokenPooling};
use tercet_train::trainer::ImageSize;

use crate::General;
use crate::exit::Usage;
use crate::progress;

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Embed with the encoder of an ONNX file instead of a model. Files of `tercet export` say
    /// themselves how items are prepared; for others, the flags below do. For sentences: a folder of
    /// sentence-transformers, or a graph with its tokenizer.json beside it.
    #[arg(long, value_name = "FILE|DIR")]
    pub(super) onnx: Option<PathBuf>,
    /// Height x width of the images that enter the encoder, or one side of a square, if it accepts
    /// any.
    #[arg(long, value_name = "HxW", requires = "onnx")]
    size: Option<ImageSize>,
    /// How images of another shape are brought to that size: crop, pad, stretch [default: crop].
    #[arg(long, requires = "onnx")]
    fit: Option<Fit>,
    /// Subtracted from each channel, whose values are from 0 to 1 [default: ImageNet's
    /// 0.485,0.456,0.406; 0 for grey].
    #[arg(long, value_name = "M,…", value_delimiter = ',', allow_negative_numbers = true)]
    #[arg(requires = "onnx")]
    mean: Option<Vec<f32>>,
    /// Each channel is divided by this afterwards [default: ImageNet's 0.229,0.224,0.225; 1 for
    /// grey].
    #[arg(long, value_name = "S,…", value_delimiter = ',', requires = "onnx")]
    std: Option<Vec<f32>>,
    /// The order of the axes, nchw or nhwc, if the file does not say.
    #[arg(long, requires = "onnx")]
    layout: Option<Layout>,
    /// The output that holds the embeddings [default: the first].
    #[arg(long, value_name = "NAME", requires = "onnx")]
    output: Option<String>,
    /// The largest number of tokens of a sentence; the rest is not read [default: what the encoder's
    /// files say].
    #[arg(long, value_name = "N", requires = "onnx")]
    max_tokens: Option<usize>,
    /// How the vectors of a sentence's tokens become one: mean, cls [default: what the encoder's files
    /// say].
    #[arg(long, value_name = "POOLING", requires = "onnx")]
    token_pooling: Option<TokenPooling>,
    /// Bring embeddings to length 1.
    #[arg(long, requires = "onnx")]
    normalize: bool,
}

impl Flags {
    /// Loads the file, and reports the preprocessing if the file does not describe it.
    pub(super) fn load(&self, general: &General, file: &Path) -> anyhow::Result<OnnxEncoder> {
        let options = OnnxOptions {
            size: self.size,
            fit: self.fit,
            mean: self.mean.clone(),
            std: self.std.clone(),
            layout: self.layout,
            output: self.output.clone(),
            max_tokens: self.max_tokens,
            pooling: self.token_pooling,
            normalize: self.normalize,
        };
        let encoder = OnnxEncoder::load(file, &options).map_err(|error| match error {
            OnnxError::Option(_) => anyhow::Error::new(Usage(error.to_string())),
            error => error.into(),
        })?;
        if let (None, Input::Images(input)) = (&encoder.card, encoder.input()) {
            let (height, width) = (input.height, input.width);
            progress::remark(
                general,
                format!(
                    "note: images enter {} at {height}×{width}, as (x/255 − mean)/std with mean {:?} \
                     and std {:?}",
                    file.display(),
                    input.mean,
                    input.std
                ),
            );
        }
        if let Input::Texts(TextInput { max_tokens, pooling, .. }) = encoder.input() {
            progress::remark(
                general,
                format!(
                    "note: {} reads at most {max_tokens} tokens of a text, pooled by {pooling}",
                    file.display()
                ),
            );
        }
        if let Some(batch) = encoder.fixed_batch {
            let one = if batch == 1 { "one item" } else { "a few items" };
            progress::remark(
                general,
                format!(
                    "note: the graph of {} was written for batches of {batch}: {one} at a time, which \
                     is slower; export it with a dynamic batch axis",
                    file.display()
                ),
            );
        }
        Ok(encoder)
    }
}
