//! `tercet compare`.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use common::{World, fail, json, succeed};

#[test]
fn pictures_of_one_class_are_nearer_than_others() {
    let world = World::get();
    let model = world.text("model.safetensors");
    let pictures = ["class 0/0.png", "class 0/2.png", "class 7/1.jpg"]
        .map(|name| world.text(&format!("photos/{name}")));
    let [one, two, three] = pictures.each_ref().map(String::as_str);
    let compared = json(&["compare", &model, one, two, three, "--json"]);
    let distance = |x: usize, y: usize| compared["distances"][x][y].as_f64().unwrap();
    assert_eq!((distance(1, 1), distance(0, 2)), (0.0, distance(2, 0)));
    let pairs = compared["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 3);
    assert_eq!(pairs[1]["images"], serde_json::json!([0, 2]));
    assert_eq!(pairs[1]["distance"].as_f64().unwrap(), distance(0, 2));
    let threshold = compared["threshold"].as_f64().unwrap();
    for pair in pairs {
        let distance = pair["distance"].as_f64().unwrap();
        assert_eq!(pair["same"], distance < threshold);
        assert!((0.0..=1.0).contains(&pair["probability"].as_f64().unwrap()));
    }
    assert!(distance(0, 1) < distance(0, 2));
    assert!(pairs[0]["probability"].as_f64() > pairs[1]["probability"].as_f64());

    // The same distance as the gallery's and the embeddings' way round.
    let twice = json(&["compare", &model, one, one, "--json"]);
    assert_eq!(twice["pairs"][0]["distance"], 0.0);
    assert_eq!(twice["pairs"][0]["same"], true);

    // Thresholds: given, and by a target rate.
    let given = json(&["compare", &model, one, two, "--threshold", "0", "--json"]);
    assert_eq!(given["pairs"][0]["same"], false);
    let strict = json(&["compare", &model, one, two, "--far", "0.01", "--json"]);
    assert!(strict["threshold"].as_f64().unwrap() != threshold);
    let text = succeed(&["compare", &model, one, two, three, "--threshold", "1e9"]);
    assert!(text.contains("same") && !text.contains("different") && text.contains("as given"));
    assert_eq!(text.matches("class 7/1.jpg").count(), 3, "{text}");
}

#[test]
fn wrong_input_is_named() {
    let world = World::get();
    let (model, photo) = (world.text("model.safetensors"), world.text("photos/class 0/0.png"));
    let text = world.text("text.png");
    std::fs::write(&text, "not a picture").unwrap();
    for (arguments, status, words) in [
        (vec!["compare", &model, &photo], 2, vec!["2 values"]),
        (vec!["compare", &model, &photo, &text], 1, vec!["text.png", "no known image format"]),
        (vec!["compare", &model, &photo, "none.png"], 1, vec!["none.png"]),
        (vec!["compare", &photo, &photo, &photo], 1, vec!["class 0/0.png", "not a model"]),
        (vec!["compare", &model, &photo, &photo, "--far", "0.3"], 2, vec!["0.3", "0.001"]),
        (vec!["compare", &model, &photo, &photo, "--threshold=-1"], 2, vec!["-1"]),
    ] {
        let error = fail(&arguments, status);
        for word in words {
            assert!(error.contains(word), "{arguments:?} does not say `{word}`: {error}");
        }
    }
}
