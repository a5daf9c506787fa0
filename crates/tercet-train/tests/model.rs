//! A model of a file, put to use.

#![allow(clippy::unwrap_used)] // tests may panic

use std::ops::ControlFlow;
use std::path::Path;

use image::DynamicImage;
use tercet_train::data::{Examples, PrepareOptions, Source};
use tercet_train::{Model, Views};

/// A file of the first version, without a calibration.
fn tiny() -> Model {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Model::load(&root.join("fuzz/corpus/model_file/tiny.safetensors")).unwrap()
}

#[test]
fn pictures_in_memory_are_embedded_as_those_of_a_source() {
    let model = tiny();
    let items: Vec<u32> = (0..70).map(|item| 11 * item).collect();
    let catalogue = Source::Glyphs.catalogue().unwrap().select(&items);
    let pictures: Vec<DynamicImage> = (0..70).map(|item| catalogue.image(item).unwrap()).collect();
    let direct = model.embed_images(&pictures).unwrap();

    let (pixels, _) = Examples::prepare(
        catalogue,
        &model.card.preprocessing,
        &PrepareOptions::default(),
        &|_, _| {},
    )
    .unwrap();
    let items: Vec<u32> = (0..70).collect();
    let by_source =
        model.embed(&pixels, &items, Views::Single, &|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(direct, by_source);
    assert_eq!(model.embed_images(&[]).unwrap().nrows(), 0);
    assert!(model.embed_images(&[DynamicImage::new_rgb8(0, 3)]).is_err());
    let message = model.embed_prepared(&[vec![0; 5]]).unwrap_err().to_string();
    assert!(message.contains("5 bytes"), "{message}");
}

#[test]
fn files_without_a_calibration_give_no_probabilities() {
    let card = tiny().card;
    assert_eq!((&card.calibration, card.probability(1.0)), (&None, None));
    let again = serde_json::to_string(&card).unwrap();
    assert!(!again.contains("calibration"));
    let mut learnt: serde_json::Value = serde_json::from_str(&again).unwrap();
    learnt["calibration"] =
        serde_json::json!({ "kind": "logistic", "slope": 2.0, "intercept": -2.0 });
    let card: tercet_train::model::ModelCard = serde_json::from_value(learnt).unwrap();
    assert_eq!(card.probability(1.0), Some(0.5));
    assert!(card.probability(0.5) > card.probability(0.6));
}
