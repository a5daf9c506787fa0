//! What a network's layers put out, counted without computing it.

use burn::nn::Linear;
use burn::nn::conv::Conv2d;

use super::InputShape;

/// Follows the map of one item through a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trail {
    /// The map as it is now.
    map: InputShape,
    /// Numbers put out so far.
    values: usize,
}

impl Trail {
    pub(super) fn new(input: InputShape) -> Self {
        Self { map: input, values: 0 }.leave(1)
    }

    pub(super) fn values(self) -> usize {
        self.values
    }

    /// Layers that change no size: norms, activations, sums.
    pub(super) fn leave(mut self, layers: usize) -> Self {
        self.values += layers * self.map.channels * self.map.height * self.map.width;
        self
    }

    /// A convolution padded so that stride 1 keeps the size.
    pub(super) fn convolution(self, convolution: &Conv2d) -> Self {
        let [channels, ..] = convolution.weight.val().dims();
        self.to(channels, convolution.stride, usize::div_ceil)
    }

    /// A pool that rounds up, and the places of the maxima, which are of twice the size.
    pub(super) fn pool(self, stride: usize) -> Self {
        self.to(self.map.channels, [stride, stride], usize::div_ceil).leave(2)
    }

    /// A pool that rounds down.
    pub(super) fn pool_whole(self, stride: usize) -> Self {
        self.to(self.map.channels, [stride, stride], |side, stride| side / stride).leave(2)
    }

    pub(super) fn linear(mut self, linear: &Linear) -> Self {
        let [_, to] = linear.weight.val().dims();
        self.map = InputShape::vectors(to);
        self.leave(1)
    }

    /// Branches of the same map, put one after the other.
    pub(super) fn branches(self, branches: impl IntoIterator<Item = Self>) -> Self {
        let mut joined = Self { map: InputShape { channels: 0, ..self.map }, ..self };
        for branch in branches {
            joined.values += branch.values - self.values;
            let channels = joined.map.channels + branch.map.channels;
            joined.map = InputShape { channels, ..branch.map };
        }
        joined.leave(1)
    }

    /// What layers beside the trail put out.
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
        // Input; two blocks of convolution, norm, ReLU, and the pool with places of twice its size.
        let small = 64 + 4 * (3 * 64 + 3 * 16) + 64;
        assert_eq!(count("small-cnn", Some(4), square(8, 1)), small);
        // fvcore counts 11.11 million outputs of convolutions in torchvision's ResNet-50 at 224×224;
        // a norm behind each, and the ReLUs, sums and pools, make 3.4 times as many.
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
