//! The model that computes the vectors of a gallery.

use std::path::{Path, PathBuf};

use anyhow::bail;
use tercet_gallery::{Error, ReadGallery};
use tercet_train::data::Source;
use tercet_train::model::Model;
use tercet_train::shell;

use crate::General;
use crate::commands::runs;
use crate::exit::Usage;

/// A model and the bytes of its file, to be stored in the gallery.
pub(crate) struct Chosen {
    pub(crate) model: Model,
    pub(crate) file: Vec<u8>,
}

impl Chosen {
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let file = Model::file_of(path)?;
        Ok(Self { model: Model::from_bytes(file.clone(), path)?, file })
    }

    /// The given model, or the model of the newest run on this source.
    pub(super) fn for_source(
        general: &General,
        given: Option<&Path>,
        source: &Source,
    ) -> anyhow::Result<Self> {
        if let Some(path) = given {
            return Self::load(path);
        }
        let name = source.name();
        let Some(path) = runs::newest_model(general, &name) else {
            bail!(Usage(format!(
                "no model was trained on this source here (runs/{name}-1): name one with --model, \
                 or train one: {}",
                shell::command(["tercet", "train", &source.to_string()])
            )));
        };
        Self::load(&path)
    }
}

/// The model of a gallery: the given one, which must be the gallery's own, or else the one that the
/// gallery contains.
pub(crate) fn of(
    gallery: &dyn ReadGallery,
    location: &str,
    given: Option<&Path>,
) -> anyhow::Result<Model> {
    let model = match (given, gallery.model()?) {
        (Some(path), _) => Model::load(path)?,
        (None, Some(file)) => Model::from_bytes(file, &kept_at(location))?,
        (None, None) => bail!(Usage(format!(
            "{} keeps no model: name the one that made its vectors with --model",
            tercet_gallery::shown(location)
        ))),
    };
    check(gallery, &model)?;
    Ok(model)
}

/// Refuses a model that did not compute the gallery's vectors.
pub(super) fn check(gallery: &dyn ReadGallery, model: &Model) -> Result<(), Error> {
    let expected = &gallery.settings().model;
    match model.fingerprint == *expected {
        true => Ok(()),
        false => Err(Error::Model { expected: expected.clone(), got: model.fingerprint.clone() }),
    }
}

/// The path that errors use for the model in a gallery.
fn kept_at(location: &str) -> PathBuf {
    Path::new(&tercet_gallery::shown(location)).join("model.safetensors")
}
