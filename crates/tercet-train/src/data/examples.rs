//! The items that an encoder is trained and evaluated on: pictures or vectors.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{
    Augmentation, BadItem, Catalogue, Content, DataError, Pixels, PrepareOptions, Preprocessing,
    Standardization, Vectors, Window,
};
use crate::encoder::InputShape;

/// The preprocessing of items before they enter an encoder. Part of the model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    /// Pictures of a fixed size.
    Images(Preprocessing),
    /// Vectors.
    Vectors(Standardization),
}

impl Input {
    /// Checks that every parameter is in its range.
    ///
    /// # Errors
    /// [`DataError::Parameter`].
    pub fn check(&self) -> Result<(), DataError> {
        match self {
            Self::Images(preprocessing) => preprocessing.check(),
            Self::Vectors(standardization) => standardization.check(),
        }
    }

    /// The shape of the encoder's input: C×H×W, for vectors of D components D×1×1.
    pub fn shape(&self) -> InputShape {
        match self {
            Self::Images(preprocessing) => InputShape {
                channels: preprocessing.channels as usize,
                height: preprocessing.height as usize,
                width: preprocessing.width as usize,
            },
            Self::Vectors(standardization) => InputShape::vectors(standardization.dimensions),
        }
    }

    /// The preprocessing of pictures.
    ///
    /// # Errors
    /// [`DataError::NotForImages`] if the encoder takes vectors.
    pub fn images(&self) -> Result<&Preprocessing, DataError> {
        match self {
            Self::Images(preprocessing) => Ok(preprocessing),
            Self::Vectors(standardization) => {
                Err(DataError::NotForImages { dimensions: standardization.dimensions })
            }
        }
    }

    /// Mean and standard deviation of the channels or components.
    pub fn statistics(&self) -> (&[f32], &[f32]) {
        match self {
            Self::Images(Preprocessing { mean, std, .. })
            | Self::Vectors(Standardization { mean, std, .. }) => (mean, std),
        }
    }
}

/// The items of a catalogue, prepared for an encoder.
#[derive(Debug, Clone)]
pub enum Examples {
    /// Pictures.
    Images(Pixels),
    /// Vectors.
    Vectors(Vectors),
}

impl Examples {
    /// Prepares every item, so that a bad one is found before training starts; see
    /// [`Pixels::prepare`] and [`Vectors::prepare`].
    ///
    /// # Errors
    /// The errors of these functions.
    pub fn prepare(
        catalogue: Catalogue,
        input: &Input,
        options: &PrepareOptions<'_>,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<(Self, Vec<BadItem>), DataError> {
        match input {
            Input::Images(preprocessing) => {
                Pixels::prepare(catalogue, preprocessing, options, progress)
                    .map(|(pixels, bad)| (Self::Images(pixels), bad))
            }
            Input::Vectors(standardization) => {
                Vectors::prepare(catalogue, standardization, options.skip_bad)
                    .map(|(vectors, bad)| (Self::Vectors(vectors), bad))
            }
        }
    }

    /// The catalogue of the items, without those that were left out.
    pub fn catalogue(&self) -> &Catalogue {
        match self {
            Self::Images(pixels) => pixels.catalogue(),
            Self::Vectors(vectors) => vectors.catalogue(),
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.catalogue().len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.catalogue().is_empty()
    }

    /// Whether the items are in memory; otherwise they are decoded each time.
    pub fn is_cached(&self) -> bool {
        match self {
            Self::Images(pixels) => pixels.is_cached(),
            Self::Vectors(_) => true,
        }
    }

    /// Bytes of memory that the items take.
    pub fn cached_bytes(&self) -> u64 {
        match self {
            Self::Images(pixels) => pixels.cached_bytes(),
            Self::Vectors(vectors) => {
                4 * (vectors.catalogue().len() * vectors.standardization().dimensions) as u64
            }
        }
    }

    /// The preprocessing of the items.
    pub fn input(&self) -> Input {
        match self {
            Self::Images(pixels) => Input::Images(pixels.preprocessing().clone()),
            Self::Vectors(vectors) => Input::Vectors(vectors.standardization().clone()),
        }
    }

    /// The pictures; `None` for vectors.
    pub fn pixels(&self) -> Option<&Pixels> {
        match self {
            Self::Images(pixels) => Some(pixels),
            Self::Vectors(_) => None,
        }
    }

    /// A training batch: like [`batch`](Self::batch), with pictures augmented as by
    /// [`Pixels::augmented`].
    ///
    /// # Errors
    /// The errors of [`Pixels::item`].
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn augmented(
        &self,
        items: &[u32],
        augmentation: &Augmentation,
        seed: u64,
        step: u64,
    ) -> Result<Vec<f32>, DataError> {
        match self {
            Self::Images(pixels) => pixels.augmented(items, augmentation, seed, step),
            Self::Vectors(_) => self.batch(items),
        }
    }

    /// Items as the input of an encoder: N×C×H×W values, standardised.
    ///
    /// # Errors
    /// The errors of [`Pixels::item`].
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn batch(&self, items: &[u32]) -> Result<Vec<f32>, DataError> {
        match self {
            Self::Images(pixels) => pixels.batch(items),
            Self::Vectors(vectors) => Ok(vectors.batch(items)),
        }
    }

    /// The same window of every picture, as by [`Pixels::window`]; vectors are returned whole.
    ///
    /// # Errors
    /// The errors of [`Pixels::item`].
    ///
    /// # Panics
    /// If [`Pixels::window`] panics.
    pub fn window(&self, items: &[u32], window: Window) -> Result<Vec<f32>, DataError> {
        match self {
            Self::Images(pixels) => pixels.window(items, window),
            Self::Vectors(vectors) => Ok(vectors.batch(items)),
        }
    }

    /// The baseline of an encoder: [`Pixels::matrix`], or the vectors without standardisation.
    ///
    /// # Errors
    /// The errors of [`Pixels::item`].
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn matrix(&self, items: &[u32]) -> Result<Array2<f32>, DataError> {
        match self {
            Self::Images(pixels) => pixels.matrix(items),
            Self::Vectors(vectors) => Ok(vectors.matrix(items)),
        }
    }
}

impl Catalogue {
    /// The number of components of the vectors; `None` for a source of images.
    pub fn dimensions(&self) -> Option<usize> {
        match &self.items.first()?.content {
            Content::Vector(vector) => Some(vector.values().len()),
            _ => None,
        }
    }
}
