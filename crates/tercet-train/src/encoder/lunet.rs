//! LuNet, the residual network that "In Defense of the Triplet Loss" trains from scratch.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2d;
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::layers::{EmbeddingHead, convolution_with_bias, norm, pool};
use super::options::check_range;
use super::trail::Trail;
use super::{EncoderOptions, InputShape};
use crate::onnx_graph::{Flow, Graph};

/// The slope of the leaky ReLU for negative values.
const SLOPE: f64 = 0.3;

/// Options of [`LuNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LuNetConfig {
    /// Channels w of the first convolution; those of the others are proportional to it. Default
    /// 128.
    pub width: usize,
    /// Number of components of the hidden layer of the head. Default 512.
    pub hidden: usize,
    /// Number of components of an embedding. Default 128.
    pub embedding_dim: usize,
}

impl Default for LuNetConfig {
    fn default() -> Self {
        Self { width: 128, hidden: 512, embedding_dim: 128 }
    }
}

/// Convolution 7×7 and twelve residual units between five max-pools 3×3 of stride 2, then linear,
/// batch norm, ReLU, linear (arXiv 1703.07737, table 6): 5.00 million parameters.
///
/// Units are pre-activated (ResNet v2) with leaky ReLU of slope 0.3. If the number of channels
/// changes, the shortcut is a 1×1 convolution of the pre-activated map. Convolutions have a bias. A
/// unit (a, b, c) goes from a channels to b by 1×1, to b by 3×3 and to c by 1×1. With w channels of
/// the first convolution and a max-pool at each bar, the network is
/// `w | (w,w/4,w) | (w,w/4,w)×2 (w,w/2,2w) | (2w,w/2,2w)×2 | (2w,w/2,2w)×2 (2w,w,4w) |
/// (4w,w,4w)×2 | 4w to 4w to w by 3×3`.
/// It is designed for images of 128×64 (H×W), but accepts any size.
#[derive(Module, Debug)]
pub struct LuNet {
    input: Conv2d,
    stages: Vec<Vec<Unit>>,
    pool: MaxPool2d,
    last: Unit,
    head: EmbeddingHead,
}

/// A batch norm, a leaky ReLU and a convolution, several times, and a shortcut around all of them.
#[derive(Module, Debug)]
struct Unit {
    norms: Vec<BatchNorm>,
    convolutions: Vec<Conv2d>,
    shortcut: Option<Conv2d>,
}

impl LuNetConfig {
    /// The name used on the command line and in files.
    pub const NAME: &str = "lunet";

    pub(super) fn with(options: &mut EncoderOptions) -> Self {
        let mut config = Self::default();
        EncoderOptions::take(&mut options.width, &mut config.width);
        EncoderOptions::take(&mut options.hidden, &mut config.hidden);
        EncoderOptions::take(&mut options.embedding_dim, &mut config.embedding_dim);
        config
    }

    /// Creates the network with random initial weights.
    ///
    /// # Errors
    /// Sizes outside their range; a width that is not a multiple of 4.
    pub fn init(&self, input: InputShape, device: &Device) -> Result<LuNet, ParameterError> {
        check_range("width", self.width, 4..=512)?;
        check_range("hidden", self.hidden, 1..=2048)?;
        check_range("embedding-dim", self.embedding_dim, 1..=4096)?;
        if !self.width.is_multiple_of(4) {
            return Err(ParameterError {
                parameter: "width",
                got: self.width.to_string(),
                expected: "a multiple of 4".to_owned(),
            });
        }
        let w = self.width;
        let unit = |from, between, to| Unit::new(&[from, between, between, to], &[1, 3, 1], device);
        let stages = vec![
            vec![unit(w, w / 4, w)],
            vec![unit(w, w / 4, w), unit(w, w / 4, w), unit(w, w / 2, 2 * w)],
            vec![unit(2 * w, w / 2, 2 * w), unit(2 * w, w / 2, 2 * w)],
            vec![unit(2 * w, w / 2, 2 * w), unit(2 * w, w / 2, 2 * w), unit(2 * w, w, 4 * w)],
            vec![unit(4 * w, w, 4 * w), unit(4 * w, w, 4 * w)],
        ];
        let halved = |side: usize| (0..stages.len()).fold(side, |side, _| side.div_ceil(2));
        let features = w * halved(input.height) * halved(input.width);
        check_range("width × pixels / 1024", features, 1..=1 << 17)?;
        Ok(LuNet {
            input: convolution_with_bias([input.channels, w], 7, 1, device),
            stages,
            pool: pool(2),
            last: Unit::new(&[4 * w, 4 * w, w], &[3, 3], device),
            head: EmbeddingHead::new(features, self.hidden, self.embedding_dim, device),
        })
    }
}

impl LuNet {
    /// # Shapes
    /// - images: N×C×H×W, embeddings: N×D
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let map = self.stages.iter().fold(self.input.forward(images), |map, units| {
            self.pool.forward(units.iter().fold(map, |map, unit| unit.forward(map)))
        });
        self.head.forward(self.last.forward(map).flatten(1, 3))
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        let trail = self.stages.iter().fold(trail.convolution(&self.input), |trail, units| {
            units.iter().fold(trail, |trail, unit| unit.follow(trail)).pool(2)
        });
        self.head.follow(self.last.follow(trail))
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, images: &Flow) -> Flow {
        let mut map = graph.convolution(images, &self.input);
        for units in &self.stages {
            map = units.iter().fold(map, |map, unit| unit.graph(graph, &map));
            map = graph.max_pool(&map, &self.pool);
        }
        let map = self.last.graph(graph, &map);
        let map = graph.flatten(&map);
        self.head.graph(graph, &map)
    }
}

impl Unit {
    /// A unit whose i-th convolution has a kernel of size `kernels[i]` and goes from `channels[i]`
    /// to `channels[i + 1]` channels.
    fn new(channels: &[usize], kernels: &[usize], device: &Device) -> Self {
        let (from, to) = (channels[0], channels[kernels.len()]);
        let convolution = |(pair, &kernel): (&[usize], &usize)| {
            convolution_with_bias([pair[0], pair[1]], kernel, 1, device)
        };
        Self {
            norms: channels[..kernels.len()].iter().map(|&c| norm(c, device)).collect(),
            convolutions: channels.windows(2).zip(kernels).map(convolution).collect(),
            shortcut: (from != to).then(|| convolution_with_bias([from, to], 1, 1, device)),
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let mut shortcut = map.clone();
        let mut map = map;
        for (place, (norm, convolution)) in self.norms.iter().zip(&self.convolutions).enumerate() {
            map = leaky_relu(norm.forward(map), SLOPE);
            if let (0, Some(projection)) = (place, &self.shortcut) {
                shortcut = projection.forward(map.clone());
            }
            map = convolution.forward(map);
        }
        map + shortcut
    }

    fn follow(&self, start: Trail) -> Trail {
        let convolutions = self.convolutions.iter();
        let trail = convolutions.fold(start, |trail, next| trail.leave(2).convolution(next));
        match &self.shortcut {
            Some(projection) => trail.beside(start, start.convolution(projection)),
            None => trail,
        }
        .leave(1)
    }

    fn graph(&self, graph: &mut Graph, map: &Flow) -> Flow {
        let (mut shortcut, mut map) = (map.clone(), map.clone());
        for (place, (norm, convolution)) in self.norms.iter().zip(&self.convolutions).enumerate() {
            let normed = graph.norm(&map, norm);
            map = graph.leaky_relu(&normed, SLOPE);
            if let (0, Some(projection)) = (place, &self.shortcut) {
                shortcut = graph.convolution(&map, projection);
            }
            map = graph.convolution(&map, convolution);
        }
        graph.add(&map, &shortcut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::parameters;

    #[test]
    fn parameters_are_the_published_five_million() {
        let input = InputShape { channels: 3, height: 128, width: 64 };
        let network = LuNetConfig::default().init(input, &Device::flex()).unwrap();
        // The paper says "5.00M".
        assert_eq!(parameters(&network), 5_001_152);
    }

    #[test]
    fn any_size_is_halved_five_times() {
        let device = Device::flex();
        let config = LuNetConfig { width: 4, hidden: 6, embedding_dim: 5 };
        for (height, width) in [(128, 64), (33, 50), (1, 2)] {
            let input = InputShape { channels: 1, height, width };
            let network = config.init(input, &device).unwrap();
            let out = network.forward(Tensor::ones([2, 1, height, width], &device));
            assert_eq!(out.dims(), [2, 5]);
            assert!(out.into_data().iter::<f32>().all(f32::is_finite));
        }
        let odd = LuNetConfig { width: 6, ..config };
        let input = InputShape { channels: 1, height: 8, width: 8 };
        let refused = odd.init(input, &device).unwrap_err().to_string();
        assert_eq!(refused, "width is 6: expected a multiple of 4");
    }
}
