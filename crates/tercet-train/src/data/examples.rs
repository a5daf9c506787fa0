//! The items that an encoder is trained and evaluated on: pictures, vectors or texts.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{
    Augmentation, BadItem, Catalogue, Content, DataError, Pixels, PrepareOptions, Preprocessing,
    Standardization, TextInput, Texts, Vectors, Window,
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
    /// Texts.
    Texts(TextInput),
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
            Self::Texts(input) => input.check(),
        }
    }

    /// The shape of the encoder's input: C×H×W, for vectors of D components D×1×1, for texts of at
    /// most T tokens T×1×1.
    pub fn shape(&self) -> InputShape {
        match self {
            Self::Images(preprocessing) => InputShape {
                channels: preprocessing.channels as usize,
                height: preprocessing.height as usize,
                width: preprocessing.width as usize,
            },
            Self::Vectors(standardization) => InputShape::vectors(standardization.dimensions),
            Self::Texts(input) => InputShape::vectors(input.max_tokens),
        }
    }

    /// The preprocessing of pictures.
    ///
    /// # Errors
    /// [`DataError::NotForImages`] if the encoder takes vectors, [`DataError::TextsNotImages`] if it
    /// takes texts.
    pub fn images(&self) -> Result<&Preprocessing, DataError> {
        match self {
            Self::Images(preprocessing) => Ok(preprocessing),
            Self::Vectors(standardization) => {
                Err(DataError::NotForImages { dimensions: standardization.dimensions })
            }
            Self::Texts(_) => Err(DataError::TextsNotImages),
        }
    }

    /// How texts enter the encoder.
    ///
    /// # Errors
    /// [`DataError::NotForTexts`] if it takes images or vectors.
    pub fn texts(&self) -> Result<&TextInput, DataError> {
        match self {
            Self::Texts(input) => Ok(input),
            Self::Images(_) => Err(DataError::NotForTexts { takes: "images" }),
            Self::Vectors(_) => Err(DataError::NotForTexts { takes: "vectors" }),
        }
    }

    /// Mean and standard deviation of the channels or components; texts have none.
    pub fn statistics(&self) -> (&[f32], &[f32]) {
        match self {
            Self::Images(Preprocessing { mean, std, .. })
            | Self::Vectors(Standardization { mean, std, .. }) => (mean, std),
            Self::Texts(_) => (&[], &[]),
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
    /// Texts, which only an encoder of texts turns into numbers.
    Texts(Texts),
}

impl Examples {
    /// Prepares every item, so that a bad one is found before training starts; see
    /// [`Pixels::prepare`], [`Vectors::prepare`] and [`Texts::prepare`].
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
            Input::Texts(input) => Texts::prepare(catalogue, input, options.skip_bad)
                .map(|(texts, bad)| (Self::Texts(texts), bad)),
        }
    }

    /// The catalogue of the items, without those that were left out.
    pub fn catalogue(&self) -> &Catalogue {
        match self {
            Self::Images(pixels) => pixels.catalogue(),
            Self::Vectors(vectors) => vectors.catalogue(),
            Self::Texts(texts) => texts.catalogue(),
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
            Self::Vectors(_) | Self::Texts(_) => true,
        }
    }

    /// Bytes of memory that the items take.
    pub fn cached_bytes(&self) -> u64 {
        match self {
            Self::Images(pixels) => pixels.cached_bytes(),
            Self::Vectors(vectors) => {
                4 * (vectors.catalogue().len() * vectors.standardization().dimensions) as u64
            }
            Self::Texts(texts) => {
                let items = &texts.catalogue().items;
                items
                    .iter()
                    .filter_map(|item| item.content.text())
                    .map(|text| text.len() as u64)
                    .sum()
            }
        }
    }

    /// The preprocessing of the items.
    pub fn input(&self) -> Input {
        match self {
            Self::Images(pixels) => Input::Images(pixels.preprocessing().clone()),
            Self::Vectors(vectors) => Input::Vectors(vectors.standardization().clone()),
            Self::Texts(texts) => Input::Texts(texts.input().clone()),
        }
    }

    /// The texts; `None` for pictures and vectors.
    pub fn texts(&self) -> Option<&Texts> {
        match self {
            Self::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// The pictures; `None` for vectors and texts.
    pub fn pixels(&self) -> Option<&Pixels> {
        match self {
            Self::Images(pixels) => Some(pixels),
            Self::Vectors(_) | Self::Texts(_) => None,
        }
    }

    /// A training batch: like [`batch`](Self::batch), with pictures augmented as by
    /// [`Pixels::augmented`].
    ///
    /// # Errors
    /// The errors of [`Pixels::item`]; [`DataError::Texts`] for texts.
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
            Self::Vectors(_) | Self::Texts(_) => self.batch(items),
        }
    }

    /// Items as the input of an encoder: N×C×H×W values, standardised.
    ///
    /// # Errors
    /// The errors of [`Pixels::item`]; [`DataError::Texts`] for texts.
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn batch(&self, items: &[u32]) -> Result<Vec<f32>, DataError> {
        match self {
            Self::Images(pixels) => pixels.batch(items),
            Self::Vectors(vectors) => Ok(vectors.batch(items)),
            Self::Texts(texts) => Err(not_numbers(texts)),
        }
    }

    /// The same window of every picture, as by [`Pixels::window`]; vectors are returned whole.
    ///
    /// # Errors
    /// The errors of [`Pixels::item`]; [`DataError::Texts`] for texts.
    ///
    /// # Panics
    /// If [`Pixels::window`] panics.
    pub fn window(&self, items: &[u32], window: Window) -> Result<Vec<f32>, DataError> {
        match self {
            Self::Images(pixels) => pixels.window(items, window),
            Self::Vectors(_) | Self::Texts(_) => self.batch(items),
        }
    }

    /// The baseline of an encoder: [`Pixels::matrix`], or the vectors without standardisation.
    ///
    /// # Errors
    /// The errors of [`Pixels::item`]; [`DataError::Texts`] for texts.
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn matrix(&self, items: &[u32]) -> Result<Array2<f32>, DataError> {
        match self {
            Self::Images(pixels) => pixels.matrix(items),
            Self::Vectors(vectors) => Ok(vectors.matrix(items)),
            Self::Texts(texts) => Err(not_numbers(texts)),
        }
    }
}

/// The error for a network that takes numbers.
fn not_numbers(texts: &Texts) -> DataError {
    DataError::Texts { text: texts.catalogue().source.clone(), expected: "vectors" }
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
