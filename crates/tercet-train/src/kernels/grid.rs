//! Maps with room around their images, so that every neighbour of a pixel lies at a fixed distance.

use rayon::prelude::*;

use super::map::{Map, Size};

/// Images below each other with zeros between them: `pad` pixels after each row, which are the left
/// neighbours of the next one, too, and `pad` rows after each image.
///
/// Pixel (n, h, w) is number n·image + h·row + w behind a head of `lead` zeros, and its neighbour
/// (h + i, w + j) lies i·row + j further on, whether inside the image or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) pad: usize,
    /// Pixels from one row to the next.
    pub(super) row: usize,
    /// Pixels from one image to the next.
    pub(super) image: usize,
    /// Zero pixels before the first and after the last image.
    pub(super) lead: usize,
}

impl Grid {
    pub(super) fn new(size: Size, pad: usize) -> Self {
        let row = size.width + pad;
        Self { pad, row, image: (size.height + pad) * row, lead: pad * row + pad }
    }

    /// The map on the grid: (lead + N·image + lead) pixels of C numbers.
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
