//! The number of values that the layers of a network output, counted without computing them.

use burn::nn::Linear;
use burn::nn::conv::Conv2d;

use super::InputShape;

/// The size of one item's map after some layers, and the number of values up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trail {
    /// The size of the map after the last layer.
    map: InputShape,
    /// The number of values output so far.
    values: usize,
}

impl Trail {
    pub(super) fn new(input: InputShape) -> Self {
        Self { map: input, values: 0 }.leave(1)
    }

    pub(super) fn values(self) -> usize {
        self.values
    }

    /// Counts layers that do not change the size: norms, activations, sums.
    pub(super) fn leave(mut self, layers: usize) -> Self {
        self.values += layers * self.map.channels * self.map.height * self.map.width;
        self
    }

    /// Counts a convolution that is padded so that stride 1 retains the size.
    pub(super) fn convolution(self, convolution: &Conv2d) -> Self {
        let [channels, ..] = convolution.weight.val().dims();
        self.to(channels, convolution.stride, usize::div_ceil)
    }

    /// Counts a pool that rounds sizes up, and the positions of its maxima, which take twice the
    /// space of its output.
    pub(super) fn pool(self, stride: usize) -> Self {
        self.to(self.map.channels, [stride, stride], usize::div_ceil).leave(2)
    }

    /// Counts a pool that rounds sizes down, as [`pool`](Self::pool) does.
    pub(super) fn pool_whole(self, stride: usize) -> Self {
        self.to(self.map.channels, [stride, stride], |side, stride| side / stride).leave(2)
    }

    pub(super) fn linear(mut self, linear: &Linear) -> Self {
        let [_, to] = linear.weight.val().dims();
        self.map = InputShape::vectors(to);
        self.leave(1)
    }

    /// Counts branches that start at this map, and the concatenation of their outputs.
    pub(super) fn branches(self, branches: impl IntoIterator<Item = Self>) -> Self {
        let mut joined = Self { map: InputShape { channels: 0, ..self.map }, ..self };
        for branch in branches {
            joined.values += branch.values - self.values;
            let channels = joined.map.channels + branch.map.channels;
            joined.map = InputShape { channels, ..branch.map };
        }
        joined.leave(1)
    }

    /// Adds the outputs of layers on another path, which starts at `from` and ends at `other`.
    pub(super) fn beside(mut self, from: Self, other: Self) -> Self {
        self.values += other.values - from.values;
        self
    }

    fn to(
        mut self,
        channels: usize,
        [high, wide]: [usize; 2],
        divide: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let (height, width) = (divide(self.map.height, high), divide(self.map.width, wide));
        self.map = InputShape { channels, height, width };
        self.leave(1)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::encoder::{EncoderConfig, EncoderOptions};

    #[test]
    fn outputs_are_as_counted_by_hand() {
        let device = Device::flex();
        let count = |name, width, input| {
            let options = EncoderOptions { width, ..EncoderOptions::default() };
            let encoder = EncoderConfig::named(name, options).unwrap().init(input, &device);
            encoder.unwrap().activations(input)
        };
        let square = |side, channels| InputShape { channels, height: side, width: side };
        // The input; two blocks of convolution, norm and ReLU, and of a pool whose positions take
        // twice its size.
        let small = 64 + 4 * (3 * 64 + 3 * 16) + 64;
        assert_eq!(count("small-cnn", Some(4), square(8, 1)), small);
        // fvcore counts 11.11 million outputs of convolutions in torchvision's ResNet-50 at
        // 224×224. Each is followed by a norm; with ReLUs, sums and pools there are 3.4 times as
        // many values.
        let resnet = count("resnet50", None, square(224, 3)) as f64 / 11.11e6;
        assert!((3.3..3.5).contains(&resnet), "{resnet}");
        let features = InputShape::vectors(10);
        assert_eq!(count("linear-head", None, features), 10 + 10);
        assert_eq!(count("mlp-head", None, features), 10 + 2 * 512 + 3 * 10);
        for name in ["lunet", "inception-small", "resnet18"] {
            let (one, four) = (count(name, None, square(32, 3)), count(name, None, square(64, 3)));
            assert!(four > 3 * one, "{name}: {one} {four}");
        }
    }
}
