//! Maps with zeros around their images, so that every neighbour of a pixel is at a fixed distance.

use rayon::prelude::*;

use super::map::{Map, Size};

/// Images one after the other, with zeros between them: `pad` pixels after each row, which are also
/// the left neighbours of the next row, and `pad` rows after each image.
///
/// Pixel (n, h, w) has the index lead + n·image + h·row + w, and the index of its neighbour (h + i,
/// w + j) is larger by i·row + j, whether it is inside the image or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) pad: usize,
    /// Number of pixels from one row to the next.
    pub(super) row: usize,
    /// Number of pixels from one image to the next.
    pub(super) image: usize,
    /// Number of zero pixels before the first and after the last image.
    pub(super) lead: usize,
}

impl Grid {
    pub(super) fn new(size: Size, pad: usize) -> Self {
        let row = size.width + pad;
        Self { pad, row, image: (size.height + pad) * row, lead: pad * row + pad }
    }

    /// Copies a map onto the grid: (lead + N·image + lead) pixels of C numbers.
    pub(super) fn fill(&self, map: &Map) -> Vec<f32> {
        let Size { images, channels, height, width } = map.size;
        let mut values = vec![0.0_f32; (images * self.image + 2 * self.lead) * channels];
        values[self.lead * channels..][..images * self.image * channels]
            .par_chunks_exact_mut(self.image * channels)
            .enumerate()
            .for_each(|(image, values)| {
                for row in 0..height {
                    values[row * self.row * channels..][..width * channels]
                        .copy_from_slice(map.row(image, row));
                }
            });
        values
    }
}
