//! An item that is an image of an IDX file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{DynamicImage, GrayImage};

use super::DataError;

/// One image of an IDX file, which is in memory as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxImage {
    file: Arc<Images>,
    index: usize,
}

/// The images of one file.
#[derive(PartialEq, Eq)]
pub(super) struct Images {
    pub(super) path: PathBuf,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixels: Vec<u8>,
}

impl IdxImage {
    pub(super) fn new(file: Arc<Images>, index: usize) -> Self {
        Self { file, index }
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    pub(crate) fn image(&self) -> Result<DynamicImage, DataError> {
        let Images { path, width, height, pixels } = &*self.file;
        let area = *width as usize * *height as usize;
        pixels
            .get(self.index * area..(self.index + 1) * area)
            .and_then(|pixels| GrayImage::from_raw(*width, *height, pixels.to_vec()))
            .map(DynamicImage::from)
            .ok_or_else(|| DataError::Undecodable {
                what: format!("image {} of {}", self.index, path.display()),
                reason: "it is not there".to_owned(),
            })
    }
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Images").field(&self.path).finish()
    }
}
