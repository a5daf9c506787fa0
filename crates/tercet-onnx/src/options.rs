//! What a file may leave open.

use tercet::named;
use tercet_train::data::Fit;
use tercet_train::trainer::ImageSize;

/// How to use a file that does not say so itself. Files of `tercet export` do, and take only
/// `normalize`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OnnxOptions {
    /// Height and width of images, where the file takes any.
    pub size: Option<ImageSize>,
    /// How images of another shape are fitted in. Default `crop`.
    pub fit: Option<Fit>,
    /// Subtracted from each channel, whose values are between 0 and 1. Default: ImageNet's for three
    /// channels, 0 for one.
    pub mean: Option<Vec<f32>>,
    /// Each channel is divided by this afterwards. Default: ImageNet's for three channels, 1 for one.
    pub std: Option<Vec<f32>>,
    /// The order of the axes, where the file does not tell.
    pub layout: Option<Layout>,
    /// The output that holds the embeddings. Default: the first.
    pub output: Option<String>,
    /// L2-normalise the embeddings. Default no.
    pub normalize: bool,
}

/// The order of the axes of a batch of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// N×C×H×W, as PyTorch writes.
    Nchw,
    /// N×H×W×C, as TensorFlow writes.
    Nhwc,
}

named!(Layout, "layout", [Nchw = "nchw", Nhwc = "nhwc"]);
