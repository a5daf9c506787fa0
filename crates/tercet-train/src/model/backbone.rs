//! Frozen encoders of other programs in front of a trained head.
//!
//! The embedding of an item x is h(b(x)): the weights of the backbone b do not change, and the head h
//! is trained on its vectors, which are computed once. The model file contains both.
//!
//! This crate does not run such encoders itself. The program registers how they are
//! [opened](use_opener).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::ModelError;
use crate::data::{Examples, Fit, Input, Standardization, Texts};
use crate::encoder::InputShape;
use crate::views::Views;

/// A frozen encoder of images, vectors or texts.
pub trait Backbone: fmt::Debug + Send + Sync {
    /// The preprocessing of its items.
    fn input(&self) -> &Input;

    /// A stable hash of its weights, its preprocessing and, for texts, its tokeniser.
    fn fingerprint(&self) -> &str;

    /// The vectors of items, N×D, in their order; each is the mean over its views. `progress`
    /// receives the number of items that are done, and may stop the computation.
    ///
    /// # Errors
    /// An item that can no longer be read; a text without tokens; vectors that are not finite;
    /// [`DataError::Interrupted`](crate::data::DataError::Interrupted) if `progress` stopped the
    /// call.
    fn embed(
        &self,
        examples: &Examples,
        items: &[u32],
        views: Views,
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError>;

    /// The vectors, N×D, of images or vectors whose N×C×H×W values were prepared as
    /// [`input`](Self::input) says.
    ///
    /// # Errors
    /// It takes texts; vectors that are not finite.
    fn forward(&self, values: Vec<f32>, count: usize) -> Result<Array2<f32>, ModelError>;
}

/// The files of a backbone by name, which a model file contains.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A backbone and its files.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The backbone.
    pub backbone: Arc<dyn Backbone>,
    /// The files from which [`Opener::of_files`] opens it again.
    pub files: Files,
}

impl Opened {
    /// The number of components of its vectors.
    ///
    /// # Errors
    /// A backbone that gives no vector.
    pub(super) fn dimensions(&self) -> Result<usize, ModelError> {
        let vector = match self.backbone.input() {
            Input::Texts(input) => {
                let texts = Examples::Texts(Texts::of(&["a"], input)?);
                self.backbone.embed(&texts, &[0], Views::Single, &|_| ControlFlow::Continue(()))?
            }
            input => {
                let InputShape { channels, height, width } = input.shape();
                let values = (0..channels * height * width).map(|at| (at % 7) as f32 / 7.0);
                self.backbone.forward(values.collect(), 1)?
            }
        };
        Ok(vector.ncols())
    }
}

/// The preprocessing of images for an encoder that does not describe it. What is not given follows
/// from the shape of its input, with mean and standard deviation of ImageNet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BackboneOptions {
    /// Height and width of images, required if the encoder accepts any size.
    pub size: Option<(u32, u32)>,
    /// How images of another aspect ratio are fitted.
    pub fit: Option<Fit>,
    /// Subtracted from each channel, whose values are between 0 and 1.
    pub mean: Option<Vec<f32>>,
    /// Each channel is divided by this afterwards.
    pub std: Option<Vec<f32>>,
}

/// Opens an encoder at a path.
pub type OfPath = fn(&Path, &BackboneOptions) -> Result<Opened, String>;

/// Opens a backbone from the files in a model file.
pub type OfFiles = fn(&Files) -> Result<Arc<dyn Backbone>, String>;

/// How backbones are opened. The errors say what is wrong.
#[derive(Debug, Clone, Copy)]
pub struct Opener {
    /// Opens what is at a path.
    pub of_path: OfPath,
    /// Opens what a model file contains.
    pub of_files: OfFiles,
}

static OPENER: OnceLock<Opener> = OnceLock::new();

/// Registers how backbones are opened, once for the process; later calls change nothing.
pub fn use_opener(opener: Opener) {
    let _ = OPENER.set(opener);
}

/// What a model file says about its backbone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackboneCard {
    /// The name of the file or folder from which it was read.
    pub name: String,
    /// Its [fingerprint](Backbone::fingerprint).
    pub fingerprint: String,
    /// How its vectors enter the head.
    pub vectors: Standardization,
}

impl BackboneCard {
    /// The card of a backbone that was read from a path.
    pub(crate) fn new(path: &Path, backbone: &dyn Backbone, vectors: Standardization) -> Self {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, fingerprint: backbone.fingerprint().to_owned(), vectors }
    }
}

/// Whether a path names an encoder of another program: a file that ends in `.onnx`, or a folder with
/// a graph, as sentence-transformers writes it.
pub fn is_encoder(path: &Path) -> bool {
    match path.is_dir() {
        true => ["model.onnx", "onnx/model.onnx"].iter().any(|graph| path.join(graph).is_file()),
        false => path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")),
    }
}

/// Opens the encoder at a path.
pub(crate) fn open(path: &Path, options: &BackboneOptions) -> Result<Opened, ModelError> {
    let refuse = |reason| ModelError::Backbone { path: path.to_owned(), reason };
    (opener().map_err(refuse)?.of_path)(path, options).map_err(refuse)
}

/// Opens the backbone that the model file at `path` contains.
pub(super) fn reopen(files: Files, path: &Path) -> Result<Opened, ModelError> {
    let refuse = |reason| ModelError::Backbone { path: path.to_owned(), reason };
    let backbone = (opener().map_err(refuse)?.of_files)(&files).map_err(refuse)?;
    Ok(Opened { backbone, files })
}

fn opener() -> Result<&'static Opener, String> {
    let reason = || format!("this build has no ONNX: {}", tercet::FULL_BUILD);
    OPENER.get().ok_or_else(reason)
}
