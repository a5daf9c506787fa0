//! A small version of FaceNet's NN4: the Inception network of OpenFace.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d};
use burn::nn::{BatchNorm, Linear, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::layers::{convolution_with_bias, linear, norm, pool};
use super::options::check_range;
use super::trail::Trail;
use super::{EncoderOptions, InputShape};
use crate::onnx_graph::{Flow, Graph};

/// Options of [`InceptionSmall`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InceptionSmallConfig {
    /// Channels of the first convolution; those of all others are proportional to it. Default 64.
    pub width: usize,
    /// Number of components of an embedding. Default 128.
    pub embedding_dim: usize,
}

impl Default for InceptionSmallConfig {
    fn default() -> Self {
        Self { width: 64, embedding_dim: 128 }
    }
}

/// The layers of OpenFace's `nn4.small2`: FaceNet's NN4 (arXiv 1503.03832) without 4b to 4d and
/// with a smaller 5, for images of 96×96; 3,733,968 parameters. (FaceNet does not list the layers
/// of its own small networks.)
///
/// Two things differ, neither of which has parameters. The local response norms are left out,
/// because each would follow a batch norm. Pools have the stride of their module, as in GoogLeNet,
/// whereas those of OpenFace have smaller outputs that are padded with zeros.
#[derive(Module, Debug)]
pub struct InceptionSmall {
    input: Normed,
    reduce: Normed,
    expand: Normed,
    pool: MaxPool2d,
    modules: Vec<Inception>,
    head: Linear,
}

/// Convolution, batch norm, ReLU.
#[derive(Module, Debug)]
struct Normed {
    convolution: Conv2d,
    norm: BatchNorm,
}

/// Parallel branches, whose output channels are concatenated.
#[derive(Module, Debug)]
struct Inception {
    /// 1×1 to fewer channels, followed by a larger kernel.
    kernels: Vec<(Normed, Normed)>,
    pool: Pool,
    /// 1×1 after the pool.
    pooled: Option<Normed>,
    /// 1×1 on its own.
    direct: Option<Normed>,
}

#[derive(Module, Debug)]
enum Pool {
    Max(MaxPool2d),
    /// √(Σ x²) over 3×3.
    L2(AvgPool2d),
}

/// The sizes of a module: the channels before and after each kernel, 3×3 (and 5×5); the channels of
/// the 1×1 after the pool and of the 1×1 on its own; the stride; and whether the pool is L2.
struct Plan {
    kernels: &'static [(usize, usize)],
    pooled: Option<usize>,
    direct: Option<usize>,
    stride: usize,
    l2: bool,
}

const PLANS: [Plan; 7] = {
    const fn plan(
        kernels: &'static [(usize, usize)],
        pooled: Option<usize>,
        direct: Option<usize>,
        stride: usize,
        l2: bool,
    ) -> Plan {
        Plan { kernels, pooled, direct, stride, l2 }
    }
    [
        plan(&[(96, 128), (16, 32)], Some(32), Some(64), 1, false), // 3a
        plan(&[(96, 128), (32, 64)], Some(64), Some(64), 1, true),  // 3b
        plan(&[(128, 256), (32, 64)], None, None, 2, false),        // 3c
        plan(&[(96, 192), (32, 64)], Some(128), Some(256), 1, true), // 4a
        plan(&[(160, 256), (64, 128)], None, None, 2, false),       // 4e
        plan(&[(96, 384)], Some(96), Some(256), 1, true),           // 5a
        plan(&[(96, 384)], Some(96), Some(256), 1, false),          // 5b
    ]
};

impl InceptionSmallConfig {
    /// The name used on the command line and in files.
    pub const NAME: &str = "inception-small";

    pub(super) fn with(options: &mut EncoderOptions) -> Self {
        let mut config = Self::default();
        EncoderOptions::take(&mut options.width, &mut config.width);
        EncoderOptions::take(&mut options.embedding_dim, &mut config.embedding_dim);
        config
    }

    /// Creates the network with random initial weights.
    ///
    /// # Errors
    /// Sizes outside their range.
    pub fn init(
        &self,
        input: InputShape,
        device: &Device,
    ) -> Result<InceptionSmall, ParameterError> {
        check_range("width", self.width, 1..=512)?;
        check_range("embedding-dim", self.embedding_dim, 1..=4096)?;
        let scaled = |channels: usize| (channels * self.width).div_ceil(64);
        let normed = |from, to, kernel, stride| Normed {
            convolution: convolution_with_bias([from, to], kernel, stride, device),
            norm: norm(to, device),
        };
        let mut channels = scaled(192);
        let modules = PLANS
            .iter()
            .map(|plan| {
                let from = channels;
                let kernels: Vec<_> = plan
                    .kernels
                    .iter()
                    .zip([3, 5])
                    .map(|(&(fewer, to), kernel)| {
                        let (fewer, to) = (scaled(fewer), scaled(to));
                        (normed(from, fewer, 1, 1), normed(fewer, to, kernel, plan.stride))
                    })
                    .collect();
                let pooled = plan.pooled.map(scaled);
                let direct = plan.direct.map(scaled);
                channels = plan.kernels.iter().map(|&(_, to)| scaled(to)).sum::<usize>()
                    + pooled.unwrap_or(from)
                    + direct.unwrap_or(0);
                Inception {
                    kernels,
                    pool: Pool::new(plan.l2, plan.stride),
                    pooled: pooled.map(|to| normed(from, to, 1, 1)),
                    direct: direct.map(|to| normed(from, to, 1, 1)),
                }
            })
            .collect();
        Ok(InceptionSmall {
            input: normed(input.channels, scaled(64), 7, 2),
            reduce: normed(scaled(64), scaled(64), 1, 1),
            expand: normed(scaled(64), scaled(192), 3, 1),
            pool: pool(2),
            modules,
            head: linear(channels, self.embedding_dim, device),
        })
    }
}

impl InceptionSmall {
    /// # Shapes
    /// - images: N×C×H×W, embeddings: N×D
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let map = self.pool.forward(self.input.forward(images));
        let map = self.pool.forward(self.expand.forward(self.reduce.forward(map)));
        let map = self.modules.iter().fold(map, |map, module| module.forward(map));
        self.head.forward(map.flatten::<3>(2, 3).mean_dim(2).flatten(1, 2))
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        let trail = self.input.follow(trail).pool(2);
        let trail = self.expand.follow(self.reduce.follow(trail)).pool(2);
        self.modules.iter().fold(trail, |trail, module| module.follow(trail)).linear(&self.head)
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, images: &Flow) -> Flow {
        let map = self.input.graph(graph, images);
        let map = graph.max_pool(&map, &self.pool);
        let map = self.reduce.graph(graph, &map);
        let map = self.expand.graph(graph, &map);
        let map = graph.max_pool(&map, &self.pool);
        let map = self.modules.iter().fold(map, |map, module| module.graph(graph, &map));
        let features = graph.mean_over_map(&map);
        graph.linear(&features, &self.head)
    }
}

impl Normed {
    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        relu(self.norm.forward(self.convolution.forward(map)))
    }

    fn follow(&self, trail: Trail) -> Trail {
        trail.convolution(&self.convolution).leave(2)
    }

    fn graph(&self, graph: &mut Graph, map: &Flow) -> Flow {
        let map = graph.convolution(map, &self.convolution);
        let map = graph.norm(&map, &self.norm);
        graph.relu(&map)
    }
}

impl Inception {
    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let kernels = self.kernels.iter();
        let mut branches: Vec<_> =
            kernels.map(|(fewer, to)| to.forward(fewer.forward(map.clone()))).collect();
        let pool = self.pool.forward(map.clone());
        branches.push(match &self.pooled {
            Some(pooled) => pooled.forward(pool),
            None => pool,
        });
        branches.extend(self.direct.as_ref().map(|direct| direct.forward(map)));
        Tensor::cat(branches, 1)
    }

    fn follow(&self, trail: Trail) -> Trail {
        let stride = self.kernels.first().map_or(1, |(_, to)| to.convolution.stride[0]);
        let kernels = self.kernels.iter().map(|(fewer, to)| to.follow(fewer.follow(trail)));
        let pool = trail.leave(2).pool(stride); // squares and roots, if the pool is L2
        let pool = self.pooled.as_ref().map_or(pool, |pooled| pooled.follow(pool));
        let direct = self.direct.iter().map(|direct| direct.follow(trail));
        trail.branches(kernels.chain([pool]).chain(direct))
    }

    fn graph(&self, graph: &mut Graph, map: &Flow) -> Flow {
        let mut branches = Vec::new();
        for (fewer, to) in &self.kernels {
            let fewer = fewer.graph(graph, map);
            branches.push(to.graph(graph, &fewer));
        }
        let pool = self.pool.graph(graph, map);
        branches.push(match &self.pooled {
            Some(pooled) => pooled.graph(graph, &pool),
            None => pool,
        });
        branches.extend(self.direct.as_ref().map(|direct| direct.graph(graph, map)));
        graph.concatenate(branches)
    }
}

impl Pool {
    fn new(l2: bool, stride: usize) -> Self {
        if !l2 {
            return Self::Max(pool(stride));
        }
        Self::L2(
            AvgPool2dConfig::new([3, 3])
                .with_strides([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
        )
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Max(pool) => pool.forward(map),
            // The derivative of a root is infinite at 0; the addend 1e-12 avoids that.
            Self::L2(mean) => (mean.forward(map.clone() * map) * 9.0 + 1e-12).sqrt(),
        }
    }

    fn graph(&self, graph: &mut Graph, map: &Flow) -> Flow {
        match self {
            Self::Max(pool) => graph.max_pool(map, pool),
            Self::L2(mean) => {
                let squares = graph.square(map);
                let mean = graph.average_pool(&squares, mean);
                let sum = graph.scale_and_shift(&mean, &[9.0], &[1e-12], 4);
                graph.square_root(&sum)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::parameters;

    #[test]
    fn parameters_are_the_published_ones() {
        let input = InputShape { channels: 3, height: 96, width: 96 };
        let network = InceptionSmallConfig::default().init(input, &Device::flex()).unwrap();
        assert_eq!(parameters(&network), 3_733_968);
    }

    #[test]
    fn any_size_and_width_give_one_embedding_an_image() {
        let device = Device::flex();
        let config = InceptionSmallConfig { width: 3, embedding_dim: 5 };
        for (height, width) in [(96, 96), (28, 40), (1, 1)] {
            let input = InputShape { channels: 1, height, width };
            let network = config.init(input, &device).unwrap();
            let out = network.forward(Tensor::ones([2, 1, height, width], &device));
            assert_eq!(out.dims(), [2, 5]);
        }
    }

    #[test]
    fn the_l2_pool_is_the_root_of_the_sum_of_squares() {
        let device = Device::flex();
        let map = Tensor::<4>::from_data([[[[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]]], &device);
        let pooled = Pool::new(true, 1).forward(map).into_data().try_to_vec::<f32>().unwrap();
        for (got, expected) in pooled.iter().zip([5.0, 5.0, 4.0, 5.0, 5.0, 4.0]) {
            assert!((got - expected).abs() < 1e-5, "{pooled:?}");
        }
    }
}
