//! The options for files that do not describe their preprocessing.

use tercet::named;
use tercet_train::data::{Fit, TokenPooling};
use tercet_train::trainer::ImageSize;

/// The preprocessing and output of a file that does not describe them itself. Files of `tercet
/// export` do, and accept `normalize` only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OnnxOptions {
    /// Height and width of images, required if the file accepts any size.
    pub size: Option<ImageSize>,
    /// How images of another aspect ratio are fitted. Default `crop`.
    pub fit: Option<Fit>,
    /// Subtracted from each channel, whose values are between 0 and 1. Default: the means of
    /// ImageNet for three channels, 0 for one.
    pub mean: Option<Vec<f32>>,
    /// Each channel is divided by this afterwards. Default: the standard deviations of ImageNet for
    /// three channels, 1 for one.
    pub std: Option<Vec<f32>>,
    /// The order of the axes, if it cannot be derived from the file.
    pub layout: Option<Layout>,
    /// The name of the output that contains the embeddings. Default: the first output.
    pub output: Option<String>,
    /// The largest number of tokens of a text. Default: what the files beside the graph say, or else
    /// 512.
    pub max_tokens: Option<usize>,
    /// How one vector is made of those of a text's tokens. Default: what the files beside the graph
    /// say, or else the mean.
    pub pooling: Option<TokenPooling>,
    /// Whether to L2-normalise the embeddings. Default no, or as the files beside a graph of texts
    /// say.
    pub normalize: bool,
}

/// The order of the axes of a batch of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// N×C×H×W, the order of PyTorch.
    Nchw,
    /// N×H×W×C, the order of TensorFlow.
    Nhwc,
}

named!(Layout, "layout", [Nchw = "nchw", Nhwc = "nhwc"]);
