//! The gallery that is served if none is named: embedded pictures of classes on which the embedded
//! model was not trained.

use std::path::Path;

use tercet_gallery::{Duplicates, Item, Settings, Vectors, WriteGallery, Writer};
use tercet_train::data::{DataError, Examples, PrepareOptions, Source};
use tercet_train::model::ModelError;
use tercet_train::thumbnails::thumbnail;
use tercet_train::{Model, TrainConfig, Views};

/// A small model, trained on embedded glyphs; the folder `demo` contains the description of how.
const MODEL: &[u8] = include_bytes!("../demo/glyphs.safetensors");

/// Longest side of a thumbnail in pixels: glyphs are smaller.
const THUMBNAIL_SIDE: u32 = 96;

/// Why the gallery could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The embedded pictures could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The embedded model could not be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The gallery could not be written.
    #[error(transparent)]
    Gallery(#[from] tercet_gallery::Error),
}

/// Creates a gallery of the embedded glyphs on which the embedded model was not trained, in an
/// empty folder. The gallery contains the model.
///
/// # Errors
/// The folder cannot be written.
pub fn glyphs(folder: &Path) -> Result<(), DemoError> {
    let model = Model::from_bytes(MODEL.to_vec(), Path::new("the embedded model"))?;
    let all = Source::Glyphs.catalogue()?;
    let config: TrainConfig =
        serde_json::from_value(model.card.provenance.config.clone()).unwrap_or_default();
    let unseen = config.split(&all.labels)?.holdout;
    let catalogue = all.select(&unseen);
    let (examples, _) = Examples::prepare(
        catalogue,
        &model.card.preprocessing,
        &PrepareOptions::default(),
        &|_, _| {},
    )?;
    let everything: Vec<u32> = (0..examples.len() as u32).collect();
    let go_on = |_| std::ops::ControlFlow::Continue(());
    let rows = model.embed(&examples, &everything, Views::Single, &go_on)?;
    let catalogue = examples.catalogue();
    let items = everything.iter().map(|&item| {
        let label = catalogue.labels.name(catalogue.labels.classes()[item as usize]);
        let picture = thumbnail(catalogue, item, THUMBNAIL_SIDE)?;
        let picture =
            tercet_gallery::Thumbnail { media_type: "image/png".to_owned(), bytes: picture };
        let id = catalogue.items[item as usize].id.clone();
        Ok(Item { thumbnail: Some(picture), ..Item::new(id).labelled(label) })
    });
    let items: Vec<Item> = items.collect::<Result<_, DataError>>()?;
    let mut writer = Writer::create(
        folder,
        Settings {
            dimensions: rows.ncols(),
            metric: model.metric(),
            model: model.fingerprint.clone(),
            quantization: None,
        },
    )?;
    let vectors = Vectors { model: &model.fingerprint, rows: rows.view() };
    writer.add(vectors, &items, Duplicates::Refuse)?;
    Ok(writer.keep_model(MODEL)?)
}
