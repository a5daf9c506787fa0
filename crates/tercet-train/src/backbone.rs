//! Frozen encoders of texts in front of a trained head.
//!
//! The embedding of a text x is h(b(x)): the backbone b is an encoder of another program whose weights
//! do not change, and the head h is trained on its vectors, which are computed once. The model file
//! contains both.
//!
//! This crate does not run such encoders itself. The program registers how they are
//! [opened](use_opener).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::{Catalogue, Content, DataError, Item, Standardization, TextInput, Vector};
use crate::model::ModelError;

/// A frozen encoder of texts.
pub trait Backbone: fmt::Debug + Send + Sync {
    /// How texts enter it.
    fn input(&self) -> &TextInput;

    /// A stable hash of its weights, its tokeniser and its input.
    fn fingerprint(&self) -> &str;

    /// The vectors of texts, N×D, in their order. `progress` receives the number of texts that are
    /// done, and may stop the computation.
    ///
    /// # Errors
    /// A text without tokens; vectors that are not finite; [`DataError::Interrupted`] if `progress`
    /// stopped the call.
    fn embed(
        &self,
        texts: &[&str],
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError>;
}

/// The files of a backbone by name, which a model file contains.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A backbone and its files.
#[derive(Debug)]
pub struct Opened {
    /// The backbone.
    pub backbone: Arc<dyn Backbone>,
    /// What [`Opener::of_files`] needs to open it again.
    pub files: Files,
}

/// Opens a backbone from the files in a model file.
pub type OfFiles = fn(&Files, &TextInput) -> Result<Arc<dyn Backbone>, String>;

/// How backbones are opened. The errors say what is wrong.
#[derive(Debug, Clone, Copy)]
pub struct Opener {
    /// Opens what is at a path.
    pub of_path: fn(&Path) -> Result<Opened, String>,
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
    /// The name of the folder or file from which it was read.
    pub name: String,
    /// Its [fingerprint](Backbone::fingerprint).
    pub fingerprint: String,
    /// How its vectors enter the head.
    pub vectors: Standardization,
}

/// Opens the backbone at a path.
pub(crate) fn open(path: &Path) -> Result<Opened, ModelError> {
    let refuse = |reason| ModelError::Backbone { path: path.to_owned(), reason };
    (opener().map_err(refuse)?.of_path)(path).map_err(refuse)
}

/// Opens the backbone that the model file at `path` contains.
pub(crate) fn reopen(
    files: &Files,
    input: &TextInput,
    path: &Path,
) -> Result<Arc<dyn Backbone>, ModelError> {
    let refuse = |reason| ModelError::Backbone { path: path.to_owned(), reason };
    (opener().map_err(refuse)?.of_files)(files, input).map_err(refuse)
}

fn opener() -> Result<&'static Opener, String> {
    let reason = || format!("this build runs no encoders of texts: {}", tercet::FULL_BUILD);
    OPENER.get().ok_or_else(reason)
}

/// A catalogue of texts with the vectors of a backbone in their place.
///
/// # Errors
/// A source that is not of texts; the errors of [`Backbone::embed`].
pub(crate) fn embedded(
    catalogue: Catalogue,
    backbone: &dyn Backbone,
    progress: &dyn Fn(usize) -> ControlFlow<()>,
) -> Result<Catalogue, ModelError> {
    let texts: Option<Vec<&str>> = catalogue.items.iter().map(|item| item.content.text()).collect();
    let Some(texts) = texts else {
        let found = if catalogue.dimensions().is_some() { "vectors" } else { "images" };
        return Err(DataError::NotTexts { text: catalogue.source, found }.into());
    };
    let vectors = backbone.embed(&texts, progress)?;
    let table = Arc::new((PathBuf::from(&catalogue.source), vectors));
    let items = catalogue.items.iter().enumerate().map(|(row, item)| Item {
        content: Content::Vector(Vector::new(table.clone(), row)),
        ..item.clone()
    });
    Ok(Catalogue { items: items.collect(), ..catalogue.clone() })
}
