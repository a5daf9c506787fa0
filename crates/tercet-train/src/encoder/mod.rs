//! Networks that turn images or vectors into embeddings, one file per architecture.
//!
//! Each architecture X has an `XConfig`, whose `init` creates the network X with its method
//! `forward`. To add one, write its file and add it to [`EncoderConfig`] and [`Encoder`].

mod config_options;
mod efficientnet_lite0;
mod inception_small;
mod inverted_residual;
mod layers;
mod linear_head;
mod lunet;
mod mlp_head;
mod mobilenet_v2;
mod options;
mod pooling;
mod resnet;
mod small_cnn;
mod stages;
mod trail;

pub use efficientnet_lite0::{EfficientNetLite0, EfficientNetLite0Config};
pub use inception_small::{InceptionSmall, InceptionSmallConfig};
pub use linear_head::{LinearHead, LinearHeadConfig};
pub use lunet::{LuNet, LuNetConfig};
pub use mlp_head::{MlpHead, MlpHeadConfig};
pub use mobilenet_v2::{MobileNetV2, MobileNetV2Config};
pub use options::EncoderOptions;
pub use pooling::Pooling;
pub use resnet::{ResNet, ResNetConfig, ResNetDepth};
pub use small_cnn::{SmallCnn, SmallCnnConfig};
pub use stages::{Freeze, Stage};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::onnx_graph::{Flow, Graph};
use tercet::ParameterError;
use trail::Trail;

/// The size of the input of an encoder: images, or vectors of D components as D×1×1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputShape {
    /// 1 (grey), 3 (RGB), or the number of components of a vector.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl InputShape {
    /// The size of vectors with this many components.
    pub fn vectors(dimensions: usize) -> Self {
        Self { channels: dimensions, height: 1, width: 1 }
    }
}

/// The kind of input of an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Images.
    Images,
    /// Vectors that another network computed.
    Vectors,
}

/// An architecture and its options, as the model file stores them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// Convolution blocks for small images.
    SmallCnn(SmallCnnConfig),
    /// The residual network of "In Defense of the Triplet Loss".
    #[serde(rename = "lunet")]
    LuNet(LuNetConfig),
    /// A small version of FaceNet's Inception network.
    InceptionSmall(InceptionSmallConfig),
    /// ResNet-18.
    #[serde(rename = "resnet18")]
    ResNet18(ResNetConfig),
    /// ResNet-34.
    #[serde(rename = "resnet34")]
    ResNet34(ResNetConfig),
    /// ResNet-50.
    #[serde(rename = "resnet50")]
    ResNet50(ResNetConfig),
    /// MobileNetV2.
    #[serde(rename = "mobilenet-v2")]
    MobileNetV2(MobileNetV2Config),
    /// EfficientNet-Lite0.
    #[serde(rename = "efficientnet-lite0")]
    EfficientNetLite0(EfficientNetLite0Config),
    /// A linear map of vectors.
    LinearHead(LinearHeadConfig),
    /// A linear map plus a network with one hidden layer, on vectors.
    MlpHead(MlpHeadConfig),
}

/// The names of all architectures.
pub const ENCODER_NAMES: [&str; 10] = [
    SmallCnnConfig::NAME,
    LuNetConfig::NAME,
    InceptionSmallConfig::NAME,
    ResNetDepth::D18.name(),
    ResNetDepth::D34.name(),
    ResNetDepth::D50.name(),
    MobileNetV2Config::NAME,
    EfficientNetLite0Config::NAME,
    LinearHeadConfig::NAME,
    MlpHeadConfig::NAME,
];

impl EncoderConfig {
    /// The architecture of this name, with its defaults for options that are not given.
    ///
    /// # Errors
    /// A name that is not one of [`ENCODER_NAMES`]; an option that the architecture does not have.
    pub fn named(name: &str, options: EncoderOptions) -> Result<Self, ParameterError> {
        let mut left = options;
        let config = match name {
            SmallCnnConfig::NAME => Self::SmallCnn(SmallCnnConfig::with(&mut left)),
            LuNetConfig::NAME => Self::LuNet(LuNetConfig::with(&mut left)),
            InceptionSmallConfig::NAME => {
                Self::InceptionSmall(InceptionSmallConfig::with(&mut left))
            }
            name if name == ResNetDepth::D18.name() => {
                Self::ResNet18(ResNetConfig::with(&mut left))
            }
            name if name == ResNetDepth::D34.name() => {
                Self::ResNet34(ResNetConfig::with(&mut left))
            }
            name if name == ResNetDepth::D50.name() => {
                Self::ResNet50(ResNetConfig::with(&mut left))
            }
            MobileNetV2Config::NAME => Self::MobileNetV2(MobileNetV2Config::with(&mut left)),
            EfficientNetLite0Config::NAME => {
                Self::EfficientNetLite0(EfficientNetLite0Config::with(&mut left))
            }
            LinearHeadConfig::NAME => Self::LinearHead(LinearHeadConfig::with(&mut left)),
            MlpHeadConfig::NAME => Self::MlpHead(MlpHeadConfig::with(&mut left)),
            _ => {
                return Err(ParameterError {
                    parameter: "encoder",
                    got: name.to_owned(),
                    expected: format!("one of {}", ENCODER_NAMES.join(", ")),
                });
            }
        };
        left.none_left(&config)?;
        Ok(config)
    }

    /// The name used on the command line and in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SmallCnn(_) => SmallCnnConfig::NAME,
            Self::LuNet(_) => LuNetConfig::NAME,
            Self::InceptionSmall(_) => InceptionSmallConfig::NAME,
            Self::ResNet18(_) => ResNetDepth::D18.name(),
            Self::ResNet34(_) => ResNetDepth::D34.name(),
            Self::ResNet50(_) => ResNetDepth::D50.name(),
            Self::MobileNetV2(_) => MobileNetV2Config::NAME,
            Self::EfficientNetLite0(_) => EfficientNetLite0Config::NAME,
            Self::LinearHead(_) => LinearHeadConfig::NAME,
            Self::MlpHead(_) => MlpHeadConfig::NAME,
        }
    }

    /// Whether the input is images or vectors.
    pub fn takes(&self) -> Takes {
        match self {
            Self::LinearHead(_) | Self::MlpHead(_) => Takes::Vectors,
            _ => Takes::Images,
        }
    }

    /// Height and width of the images that the architecture was designed for; none if it has no
    /// preference.
    pub fn usual_size(&self) -> Option<(u32, u32)> {
        match self {
            Self::LuNet(_) => Some((128, 64)),
            Self::InceptionSmall(_) => Some((96, 96)),
            _ => None,
        }
    }

    /// Number of components of an embedding of such an input.
    pub fn embedding_dim(&self, input: InputShape) -> usize {
        match self {
            Self::SmallCnn(config) => config.embedding_dim,
            Self::LuNet(config) => config.embedding_dim,
            Self::InceptionSmall(config) => config.embedding_dim,
            Self::ResNet18(config) | Self::ResNet34(config) | Self::ResNet50(config) => {
                config.embedding_dim
            }
            Self::MobileNetV2(config) => config.embedding_dim,
            Self::EfficientNetLite0(config) => config.embedding_dim,
            Self::LinearHead(LinearHeadConfig { embedding_dim: 0 })
            | Self::MlpHead(MlpHeadConfig { embedding_dim: 0, .. }) => input.channels,
            Self::LinearHead(config) => config.embedding_dim,
            Self::MlpHead(config) => config.embedding_dim,
        }
    }

    /// The parts of the body, from the input on, of architectures for which pretrained weights
    /// exist; they are named as in those weights. The rest of the network is the head.
    pub fn stages(&self) -> &'static [Stage] {
        match self {
            Self::ResNet18(_) | Self::ResNet34(_) | Self::ResNet50(_) => &ResNetConfig::STAGES,
            Self::MobileNetV2(_) => &MobileNetV2Config::STAGES,
            Self::EfficientNetLite0(_) => &EfficientNetLite0Config::STAGES,
            _ => &[],
        }
    }

    /// Creates the network with random initial weights, drawn from the device's seeded generator.
    ///
    /// # Errors
    /// Options that do not fit each other or the input.
    pub fn init(&self, input: InputShape, device: &Device) -> Result<Encoder, ParameterError> {
        let encoder = match self {
            Self::SmallCnn(config) => Encoder::SmallCnn(config.init(input, device)?),
            Self::LuNet(config) => Encoder::LuNet(config.init(input, device)?),
            Self::InceptionSmall(config) => Encoder::InceptionSmall(config.init(input, device)?),
            Self::ResNet18(config) => {
                Encoder::ResNet(config.init(ResNetDepth::D18, input, device)?)
            }
            Self::ResNet34(config) => {
                Encoder::ResNet(config.init(ResNetDepth::D34, input, device)?)
            }
            Self::ResNet50(config) => {
                Encoder::ResNet(config.init(ResNetDepth::D50, input, device)?)
            }
            Self::MobileNetV2(config) => Encoder::MobileNetV2(config.init(input, device)?),
            Self::EfficientNetLite0(config) => {
                Encoder::EfficientNetLite0(config.init(input, device)?)
            }
            Self::LinearHead(config) => Encoder::LinearHead(config.init(input, device)?),
            Self::MlpHead(config) => Encoder::MlpHead(config.init(input, device)?),
        };
        // Burn draws weights when they are first used. Drawing them here gives a fixed order.
        Ok(encoder.materialize())
    }
}

/// A network that turns a batch of images or vectors into embeddings.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // only one exists at a time
pub enum Encoder {
    /// Convolution blocks for small images.
    SmallCnn(SmallCnn),
    /// The residual network of "In Defense of the Triplet Loss".
    LuNet(LuNet),
    /// A small version of FaceNet's Inception network.
    InceptionSmall(InceptionSmall),
    /// ResNet-18, 34 or 50.
    ResNet(ResNet),
    /// MobileNetV2.
    MobileNetV2(MobileNetV2),
    /// EfficientNet-Lite0.
    EfficientNetLite0(EfficientNetLite0),
    /// A linear map of vectors.
    LinearHead(LinearHead),
    /// A linear map plus a network with one hidden layer, on vectors.
    MlpHead(MlpHead),
}

impl Encoder {
    /// # Shapes
    /// - input: N×C×H×W, standardised; vectors of D components as N×D×1×1
    /// - embeddings: N×D
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        match self {
            Self::SmallCnn(network) => network.forward(input),
            Self::LuNet(network) => network.forward(input),
            Self::InceptionSmall(network) => network.forward(input),
            Self::ResNet(network) => network.forward(input),
            Self::MobileNetV2(network) => network.forward(input),
            Self::EfficientNetLite0(network) => network.forward(input),
            Self::LinearHead(head) => head.forward(input.flatten(1, 3)),
            Self::MlpHead(head) => head.forward(input.flatten(1, 3)),
        }
    }

    /// The number of values that the forward pass of one item retains for the backward pass: the
    /// outputs of its layers. The estimate of memory is based on it.
    pub fn activations(&self, input: InputShape) -> usize {
        let start = Trail::new(input);
        let end = match self {
            Self::SmallCnn(network) => network.follow(start),
            Self::LuNet(network) => network.follow(start),
            Self::InceptionSmall(network) => network.follow(start),
            Self::ResNet(network) => network.follow(start),
            Self::MobileNetV2(network) => network.follow(start),
            Self::EfficientNetLite0(network) => network.follow(start),
            Self::LinearHead(head) => head.follow(start),
            Self::MlpHead(head) => head.follow(start),
        };
        end.values()
    }

    /// Replaces the initial projection of a head by the given one, D×D', if the architecture has a
    /// projection of this shape; otherwise changes nothing.
    pub fn starting_from(mut self, start: ArrayView2<f32>, device: &Device) -> Self {
        let shape = [start.nrows(), start.ncols()];
        let projection = match &mut self {
            Self::LinearHead(head) => Some(head.projection_mut()),
            Self::MlpHead(head) => Some(head.projection_mut()),
            _ => None,
        };
        if let Some(weight) = projection.filter(|weight| weight.val().dims() == shape) {
            let data = TensorData::new(start.iter().copied().collect(), shape);
            *weight = Param::from_tensor(Tensor::from_data(data, device));
        }
        self
    }

    /// [`forward`](Self::forward) as layers of a graph, in which vectors are N×D.
    pub(crate) fn graph(&self, graph: &mut Graph, items: &Flow) -> Flow {
        match self {
            Self::SmallCnn(network) => network.graph(graph, items),
            Self::LuNet(network) => network.graph(graph, items),
            Self::InceptionSmall(network) => network.graph(graph, items),
            Self::ResNet(network) => network.graph(graph, items),
            Self::MobileNetV2(network) => network.graph(graph, items),
            Self::EfficientNetLite0(network) => network.graph(graph, items),
            Self::LinearHead(head) => head.graph(graph, items),
            Self::MlpHead(head) => head.graph(graph, items),
        }
    }

    /// The number of weights, as papers count them: without the running means and variances of
    /// batch norms.
    pub fn parameters(&self) -> usize {
        parameters(self)
    }
}

/// The number of weights of a module, without the running statistics of its batch norms.
fn parameters(module: &impl Module) -> usize {
    #[derive(Default)]
    struct Count {
        within: Vec<String>,
        weights: usize,
    }
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let is_statistic = self.within.last().is_some_and(|name| name.starts_with("running_"));
            if !is_statistic {
                self.weights += param.lazy_shape().num_elements();
            }
        }

        fn enter_module(&mut self, name: &str, _container: &str) {
            self.within.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.within.pop();
        }
    }
    let mut count = Count::default();
    module.visit(&mut count);
    count.weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_makes_a_network_that_embeds() {
        let device = Device::flex();
        for name in ENCODER_NAMES {
            let config = EncoderConfig::named(name, EncoderOptions::default()).unwrap();
            assert_eq!(config.name(), name);
            let written = serde_json::to_string(&config).unwrap();
            assert!(written.contains(&format!("\"name\":\"{name}\"")), "{written}");
            assert_eq!(serde_json::from_str::<EncoderConfig>(&written).unwrap(), config);

            let small = match config.takes() {
                Takes::Images => EncoderOptions { width: Some(4), ..Default::default() },
                Takes::Vectors => EncoderOptions::default(),
            };
            let config = EncoderConfig::named(name, small).unwrap();
            assert_eq!(EncoderConfig::named(name, config.options()).unwrap(), config);
            let input = match config.takes() {
                Takes::Images => InputShape { channels: 3, height: 32, width: 16 },
                Takes::Vectors => InputShape::vectors(7),
            };
            let encoder = config.init(input, &device).unwrap();
            let shape = [2, input.channels, input.height, input.width];
            let embeddings = encoder.forward(Tensor::ones(shape, &device));
            assert_eq!(embeddings.dims(), [2, config.embedding_dim(input)], "{name}");
        }
    }

    #[test]
    fn what_an_architecture_does_not_have_is_refused() {
        let refused = |name, options| EncoderConfig::named(name, options).unwrap_err().to_string();
        let deep = EncoderOptions { depth: Some(3), ..Default::default() };
        assert_eq!(
            refused("lunet", deep),
            "depth is 3: expected nothing, since lunet has no such option"
        );
        let message = refused("vgg", EncoderOptions::default());
        assert!(message.starts_with("encoder is vgg: expected one of small-cnn, "), "{message}");
    }
}
