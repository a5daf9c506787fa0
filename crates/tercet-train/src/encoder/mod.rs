//! Networks that turn images into embeddings: one file an architecture.
//!
//! Each architecture is a `XConfig` whose `init` makes the network X with its `forward`. To add
//! one, write its file, then name it in [`EncoderConfig`] and [`Encoder`].

mod small_cnn;

pub use small_cnn::{SmallCnn, SmallCnnConfig};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// The size of the images that enter an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputShape {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

/// An architecture and its options, as the model file keeps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// Convolution blocks for small images.
    SmallCnn(SmallCnnConfig),
}

/// The names that [`EncoderConfig`] knows.
pub const ENCODER_NAMES: [&str; 1] = [SmallCnnConfig::NAME];

impl EncoderConfig {
    /// The name used on the command line and in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SmallCnn(_) => SmallCnnConfig::NAME,
        }
    }

    /// Components of an embedding.
    pub fn embedding_dim(&self) -> usize {
        match self {
            Self::SmallCnn(config) => config.embedding_dim,
        }
    }

    /// Numbers that an item leaves behind on its way through the network, for the way back: the
    /// outputs of all layers. What fits into memory at once is counted by them.
    pub fn activations(&self, input: InputShape) -> usize {
        match self {
            Self::SmallCnn(config) => config.activations(input),
        }
    }

    /// Makes the network with fresh weights, drawn from the device's seeded generator.
    ///
    /// # Errors
    /// Options that do not fit each other or the input.
    pub fn init(&self, input: InputShape, device: &Device) -> Result<Encoder, EncoderError> {
        let encoder = match self {
            Self::SmallCnn(config) => Encoder::SmallCnn(config.init(input, device)?),
        };
        // Burn draws weights when they are first used: draw them now, in a fixed order.
        Ok(encoder.materialize())
    }
}

/// Options that make no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncoderError {
    /// An option outside its range.
    #[error("{option} is {got}: expected {expected}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What was given.
        got: String,
        /// What is accepted.
        expected: String,
    },
}

/// A network that turns a batch of images into embeddings.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // one lives at a time
pub enum Encoder {
    /// Convolution blocks for small images.
    SmallCnn(SmallCnn),
}

impl Encoder {
    /// # Shapes
    /// - images: N×C×H×W, standardised
    /// - embeddings: N×D
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::SmallCnn(network) => network.forward(images),
        }
    }
}
