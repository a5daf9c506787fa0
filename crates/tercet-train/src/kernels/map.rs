//! The memory layout of feature maps: rows of pixels, where each pixel is a vector of channels.

use burn::backend::TensorMetadata;
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

/// The sizes of a map with the logical order N×C×H×W.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Size {
    pub(super) fn of(tensor: &FlexTensor) -> Self {
        let [images, channels, height, width] = tensor.shape().dims();
        Self { images, channels, height, width }
    }

    /// The number of values of one image.
    pub(super) fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The number of images that a thread processes at a time, so that its working set stays in the
    /// cache. It depends on the sizes alone, because it determines the order of sums.
    pub(super) fn images_at_once(&self) -> usize {
        const NUMBERS: usize = 1 << 17; // half a megabyte
        (NUMBERS / self.image_len().max(1)).clamp(1, self.images.max(1))
    }
}

/// A map whose channels are the innermost dimension and whose rows have no gaps.
#[derive(Debug, Clone)]
pub(super) struct Map {
    tensor: FlexTensor,
    pub(super) size: Size,
    image_stride: usize,
    row_stride: usize,
}

impl Map {
    /// The same values, copied only if their memory layout is different.
    pub(super) fn of(tensor: &FlexTensor) -> Self {
        let size = Size::of(tensor);
        let strides = tensor.layout().strides();
        let lies_right = strides.iter().all(|&stride| stride >= 0)
            && (size.channels == 1 || strides[1] == 1)
            && (size.width == 1 || strides[3] == size.channels as isize);
        if !lies_right {
            return Self::of(&channels_last(tensor, size));
        }
        let [image_stride, row_stride] = [strides[0] as usize, strides[2] as usize];
        Self { tensor: tensor.clone(), size, image_stride, row_stride }
    }

    /// A row of pixels, W·C numbers.
    pub(super) fn row(&self, image: usize, row: usize) -> &[f32] {
        let start = self.tensor.layout().start_offset();
        let start = start + image * self.image_stride + row * self.row_stride;
        &self.tensor.storage::<f32>()[start..][..self.size.width * self.size.channels]
    }
}

/// A tensor over values that are stored pixel by pixel, with `image` pixels from one image to the
/// next and `row` pixels from one row to the next.
pub(super) fn tensor(values: Vec<f32>, size: Size, image: usize, row: usize) -> FlexTensor {
    let Size { images, channels, height, width } = size;
    let strides = [image * channels, 1, row * channels, channels].map(|stride| stride as isize);
    let layout = Layout::new(Shape::new([images, channels, height, width]), strides.to_vec(), 0);
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

/// A tensor over values that are stored pixel by pixel without gaps.
pub(super) fn dense(values: Vec<f32>, size: Size) -> FlexTensor {
    tensor(values, size, size.height * size.width, size.width)
}

/// A tensor over values in their logical order.
pub(super) fn contiguous<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::new(shape)), DType::F32)
}

/// All values of a tensor in their logical order.
pub(super) fn values(tensor: &FlexTensor) -> Vec<f32> {
    tensor.to_contiguous().as_slice::<f32>().map(<[f32]>::to_vec).unwrap_or_default()
}

fn channels_last(from: &FlexTensor, size: Size) -> FlexTensor {
    let from = from.to_contiguous();
    let pixels = size.height * size.width;
    let mut values = vec![0.0_f32; size.images * size.image_len()];
    let planes =
        from.storage::<f32>()[from.layout().start_offset()..].par_chunks_exact(size.image_len());
    values.par_chunks_exact_mut(size.image_len()).zip(planes).for_each(|(values, planes)| {
        for (channel, plane) in planes.chunks_exact(pixels).enumerate() {
            let places = values[channel..].iter_mut().step_by(size.channels);
            places.zip(plane).for_each(|(place, &value)| *place = value);
        }
    });
    dense(values, size)
}
