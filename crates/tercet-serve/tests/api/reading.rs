//! What can be asked without changing anything.

use serde_json::{Value, json};

use crate::world::{World, escaped, glyphs, one};

#[test]
fn a_picture_finds_its_own_class_with_distances_and_chances() {
    let world = World::shared(|_| {});
    let (id, picture) = one();
    let class = id.split('/').next().unwrap();
    let answers = [
        world.post("/api/search?k=5").body("image/png", picture.clone()).send(),
        world.post("/api/search?k=5").body("application/octet-stream", picture.clone()).send(),
        world.post("/api/search?k=5").form(&[("image", "image/png", &picture)]).send(),
    ];
    for answer in &answers {
        let found = answer.json();
        assert_eq!(answer.status, 200, "{found}");
        let hits = found["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 5);
        assert_eq!((&hits[0]["id"], hits[0]["label"].as_str()), (&json!(id), Some(class)));
        assert!(hits[0]["distance"].as_f64().unwrap() < 1e-3, "{found}");
        assert_eq!(hits[0]["same"], true);
        assert!(hits[0]["probability"].as_f64().unwrap() > 0.9, "{found}");
        let distances: Vec<f64> =
            hits.iter().map(|hit| hit["distance"].as_f64().unwrap()).collect();
        assert!(distances.is_sorted());
        assert_eq!(found["method"], "exact");
    }
}

#[test]
fn a_search_says_by_which_threshold_and_prior_it_decides() {
    let world = World::shared(|_| {});
    // The first item whose class is found: the threshold is so strict that some are not.
    let ask = |target: &str, id: &str| world.post(target).json(&json!({ "id": id })).send();
    let items = world.get("/api/items?limit=50").send().json();
    let ids: Vec<&str> = items["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    let is_known = |id: &&str| ask("/api/search?k=1", id).json()["known"] == true;
    let known: Vec<&str> = ids.iter().copied().filter(is_known).collect();
    assert!(10 * known.len() > 3 * ids.len(), "{} of {}", known.len(), ids.len());
    let id = known[0];
    let class = id.split('/').next().unwrap();
    let search = |target: &str| ask(target, id);
    let found = search("/api/search?k=1000").json();
    let decided = world.get("/api/decision").send().json();
    for key in ["threshold", "prior", "false_matches_per_query", "expected_known_found", "basis"] {
        assert!(!found[key].is_null(), "{key}: {found}");
        assert_eq!(found[key], decided[key], "{key}");
    }
    // Half of the queries are of one of a hundred classes.
    assert_eq!((&found["prior"], &found["false_matches_per_query"]), (&json!(0.005), &json!(0.01)));
    assert_eq!((&found["class"], &found["known"]), (&json!(class), &json!(true)));
    assert_eq!(found["suggested"], json!(class));
    let threshold = found["threshold"].as_f64().unwrap();
    for hit in found["hits"].as_array().unwrap() {
        let (distance, probability) = (hit["distance"].as_f64(), hit["probability"].as_f64());
        assert_eq!(hit["same"], distance.unwrap() < threshold);
        assert!(hit["same"] == false || probability.unwrap() >= 0.5, "{hit}");
        assert_eq!(hit["other_class"], hit["label"] != json!(class));
    }
    let thresholds = decided["thresholds"].as_array().unwrap();
    let thresholds: Vec<f64> =
        thresholds.iter().map(|at| at["threshold"].as_f64().unwrap()).collect();
    assert!(thresholds.len() == 3 && thresholds.is_sorted_by(|x, y| x >= y), "{thresholds:?}");
    let curve = decided["curve"]["probabilities"].as_array().unwrap();
    assert!(curve.is_sorted_by(|x, y| x.as_f64() >= y.as_f64()), "{curve:?}");

    let loose = search("/api/search?k=1&false_matches=0.1").json();
    assert!(loose["threshold"].as_f64().unwrap() >= threshold);
    let given = search("/api/search?k=1&threshold=0").json();
    assert_eq!((&given["basis"], &given["known"]), (&json!("given"), &json!(false)));
    assert_eq!(given["suggested"], Value::Null);
    search("/api/search?false_matches=2").refused(400, "malformed");
    search("/api/search?false_matches=0.1&threshold=1").refused(400, "malformed");
    // Two things alone are as likely to be the same as not.
    let body = json!({ "a": { "id": id }, "b": { "id": id } });
    assert_eq!(world.post("/api/compare").json(&body).send().json()["prior"], 0.5);
}

/// Half of the characters are measured; of the others, some are in galleries and the rest are
/// strangers.
#[test]
fn characters_that_are_not_in_the_gallery_are_seldom_called_the_same() {
    use ndarray::Axis;
    use tercet::open_set::{Bound, GallerySize, OpenSet};
    use tercet_gallery::ReadGallery;
    let reader = tercet_gallery::Reader::open(glyphs()).unwrap();
    let metric = reader.settings().metric;
    let (items, vectors) = tercet_gallery::sample::with_vectors(&reader, 2100, 2100).unwrap();
    let labels: tercet::Labels = items.iter().map(|item| item.label.as_deref().unwrap()).collect();
    let of = |classes: std::ops::Range<u32>, step: usize| -> Vec<usize> {
        let rows = 0..labels.len();
        rows.filter(|&row| classes.contains(&labels.classes()[row])).step_by(step).collect()
    };
    let measured_on = of(0..50, 1);
    let rows: Vec<u32> = measured_on.iter().map(|&row| row as u32).collect();
    let chosen = vectors.select(Axis(0), &measured_on);
    let measured =
        OpenSet::measure(chosen.view(), &labels.select(&rows), metric, Bound::Upper, 0).unwrap();
    // The rate is that of the average gallery: ten galleries of each size, of neighbouring classes.
    for (classes, step) in [(5, 1), (20, 1), (20, 4), (35, 1), (35, 21)] {
        for rate in [0.01, 0.1] {
            let (mut wrong, mut queries) = (0, 0);
            for draw in 0..10 {
                let known = |row: &usize| (labels.classes()[*row] + 50 - 5 * draw) % 50 < classes;
                let (known, strangers): (Vec<usize>, Vec<usize>) =
                    of(50..100, 1).into_iter().partition(known);
                let known: Vec<usize> = known.into_iter().step_by(step).collect();
                let gallery = vectors.select(Axis(0), &known);
                let size = GallerySize { items: known.len() as u64, classes: u64::from(classes) };
                let threshold = measured.threshold(rate, size);
                let distances = metric
                    .distances(vectors.select(Axis(0), &strangers).view(), gallery.view())
                    .unwrap();
                let is_matched = |row: ndarray::ArrayView1<f32>| row.iter().any(|&d| d < threshold);
                wrong += distances.outer_iter().filter(|row| is_matched(*row)).count();
                queries += strangers.len();
            }
            let observed = wrong as f64 / queries as f64;
            assert!(observed <= rate, "{classes} classes, step {step}: {observed} above {rate}");
        }
    }
}

#[test]
fn an_item_is_not_its_own_neighbour_and_filters_hold() {
    let world = World::shared(|_| {});
    let (id, _) = one();
    let hits = |target: &str| {
        let found = world.post(target).json(&json!({ "id": id })).send().json();
        found["hits"].as_array().unwrap().clone()
    };
    let near = hits("/api/search?k=30");
    assert!(near.iter().all(|hit| hit["id"] != json!(id)));
    let other = near.iter().find(|hit| hit["label"] != near[0]["label"]).unwrap()["label"].clone();
    let label = escaped(other.as_str().unwrap());
    let filtered = hits(&format!("/api/search?k=30&label={label}"));
    assert_eq!(filtered.len(), 21);
    assert!(filtered.iter().all(|hit| hit["label"] == other));
    let without = escaped(near[0]["id"].as_str().unwrap());
    assert_eq!(hits(&format!("/api/search?without={without}"))[0]["id"], near[1]["id"]);
    assert!(hits("/api/search?attribute=camera:1").is_empty());
    let none = world.post("/api/search?k=1&threshold=0").json(&json!({ "id": id })).send().json();
    assert_eq!(none["hits"][0]["same"], false);
}

#[test]
fn a_vector_finds_and_is_compared_as_its_item() {
    let world = World::shared(|_| {});
    let (id, picture) = one();
    use tercet_gallery::ReadGallery;
    let reader = tercet_gallery::Reader::open(&world.folder).unwrap();
    let vector = reader.vectors(&[&id]).unwrap().row(0).to_vec();
    let found = world.post("/api/search?k=1").json(&json!({ "vector": vector })).send().json();
    assert_eq!(found["hits"][0]["id"], json!(id));
    let compared = |body: Value| world.post("/api/compare").json(&body).send().json();
    let near = compared(json!({ "a": { "id": id }, "b": { "vector": vector } }));
    assert_eq!((&near["distance"], &near["same"]), (&json!(0.0), &json!(true)));
    let item = json!({ "id": id }).to_string();
    let parts: [(&str, &str, &[u8]); 2] =
        [("a", "image/png", &picture), ("b", "application/json", item.as_bytes())];
    let mixed = world.post("/api/compare").form(&parts).send().json();
    assert!(mixed["distance"].as_f64().unwrap() < 1e-3, "{mixed}");
}

#[test]
fn comparison_tells_same_from_different_by_the_threshold() {
    let world = World::shared(|_| {});
    let found = world.post("/api/search?k=1000").json(&json!({ "id": one().0 })).send().json();
    let hits = found["hits"].as_array().unwrap();
    let far = hits.last().unwrap();
    let body = json!({ "a": { "id": one().0 }, "b": { "id": far["id"] } });
    let compared = world.post("/api/compare").json(&body).send().json();
    assert_eq!(compared["same"], false);
    let distance = compared["distance"].as_f64().unwrap();
    assert!((distance - far["distance"].as_f64().unwrap()).abs() < 1e-4 * distance);
    assert!(compared["probability"].as_f64().unwrap() < 0.1, "{compared}");
    let threshold = distance * 1.01;
    let target = format!("/api/compare?threshold={threshold}");
    assert_eq!(world.post(&target).json(&body).send().json()["same"], true);
}

#[test]
fn items_come_by_the_page_with_their_pictures() {
    let world = World::shared(|_| {});
    let (mut ids, mut from) = (Vec::new(), Value::Null);
    loop {
        let target = match &from {
            Value::Null => "/api/items?limit=999".to_owned(),
            from => format!("/api/items?limit=999&from={from}"),
        };
        let page = world.get(&target).send().json();
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        from = page["next"].clone();
        if from.is_null() {
            break;
        }
    }
    assert_eq!(ids.len(), 2100);
    let sample = world.get("/api/items?sample=30").send().json();
    let sample: std::collections::HashSet<&str> = sample["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(sample.len(), 30);
    let (id, picture) = one();
    let item = world.get(&format!("/api/items/{}", escaped(&id))).send().json();
    assert_eq!(item["id"], json!(id));
    let thumbnail = world.get(&format!("/api/items/{}/thumbnail", escaped(&id))).send();
    assert_eq!((thumbnail.status, thumbnail.header("content-type")), (200, Some("image/png")));
    assert_eq!(thumbnail.body, picture);
    assert!(world.get("/api/items/nobody").send().refused(404, "no-item").contains("nobody"));
    world.get("/api/items/nobody/thumbnail").send().refused(404, "no-item");
}

#[test]
fn the_map_is_made_once_and_given_again() {
    let world = World::shared(|_| {});
    let first = world.get("/api/projection").send();
    assert_eq!((first.status, first.header("retry-after")), (202, Some("1")));
    let map = loop {
        let answer = world.get("/api/projection").send();
        if answer.status != 202 {
            break answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let places = map.json();
    for name in ["ids", "x", "y", "class"] {
        assert_eq!(places[name].as_array().unwrap().len(), 2100, "{name}");
    }
    assert_eq!(
        (&places["method"], &places["items"]),
        (&json!(tercet_projection::Projection::best()), &json!(2100))
    );
    assert_eq!(places["classes"].as_array().unwrap().len(), 100);
    let tag = map.header("etag").unwrap();
    let again = world.get("/api/projection").header("if-none-match", tag).send();
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[test]
fn gallery_and_model_say_what_they_are() {
    let world = World::shared(|_| {});
    let about = world.get("/api/gallery").send().json();
    assert_eq!((&about["name"], &about["items"]), (&json!("glyphs"), &json!(2100)));
    assert_eq!((&about["embeds"], &about["writable"]), (&json!(true), &json!(true)));
    let card = world.get("/api/model").send().json();
    assert_eq!(card["fingerprint"], about["model"]);
    let curve = card["curve"]["probabilities"].as_array().unwrap();
    let curve: Vec<f64> = curve.iter().map(|p| p.as_f64().unwrap()).collect();
    assert!(curve.is_sorted_by(|one, next| one >= next) && curve[0] > 0.9, "{curve:?}");
    assert!(curve.last().unwrap() < &0.05, "{curve:?}");
    let thresholds = &card["thresholds"];
    assert!(thresholds["0.1"].as_f64().unwrap() > thresholds["0.001"].as_f64().unwrap());
    let health = world.get("/health").send().json();
    assert_eq!(health["status"], "ok");
    let metrics = world.get("/metrics").send();
    let text = String::from_utf8(metrics.body).unwrap();
    let line = "tercet_requests_total{method=\"GET\",route=\"/api/model\",status=\"200\"} 1";
    assert!(text.contains(line) && text.contains("tercet_items 2100"), "{text}");
}

#[test]
fn mistakes_are_named() {
    let world = World::shared(|_| {});
    let (id, picture) = one();
    let item = json!({ "id": id });
    let refused = |target: &str, status, code: &str| {
        world.post(target).json(&item).send().refused(status, code)
    };
    assert!(refused("/api/search?k=0", 400, "malformed").contains("from 1 to 1000"));
    assert!(refused("/api/search?k=1001", 400, "malformed").contains("`1001`"));
    assert!(refused("/api/search?threshold=-1", 400, "malformed").contains("threshold"));
    assert!(refused("/api/search?threshold=NaN", 400, "malformed").contains("threshold"));
    assert!(refused("/api/search?limit=3", 400, "malformed").contains("unknown parameter"));
    let search = |body: Value| world.post("/api/search").json(&body).send();
    assert!(search(json!({ "id": "x" })).refused(404, "no-item").contains("`x`"));
    assert!(search(json!({ "vector": [1.0] })).refused(422, "unacceptable").contains("64"));
    search(json!({ "vector": vec![1e39; 64] })).refused(422, "unacceptable");
    search(json!({ "vector": "text" })).refused(400, "malformed");
    search(json!({ "id": "x", "vector": [] })).refused(400, "malformed");
    search(json!([1, 2])).refused(400, "malformed");
    world.post("/api/search").body("application/json", "{").send().refused(400, "malformed");
    let form = |parts: &[(&str, &str, &[u8])]| world.post("/api/search").form(parts).send();
    let two = [("a", "image/png", &picture[..]), ("b", "image/png", &picture[..])];
    assert!(form(&two).refused(400, "malformed").contains("one part"));
    form(&[]).refused(400, "malformed");
    let compare = |parts: &[(&str, &str, &[u8])]| world.post("/api/compare").form(parts).send();
    compare(&two[..1]).refused(400, "malformed");
    compare(&[two[0], two[0]]).refused(400, "malformed");
    compare(&[two[0], two[1], ("c", "image/png", &picture)]).refused(400, "malformed");
    world.post("/api/compare").body("image/png", picture.clone()).send().refused(415, "no-form");
    let unbounded = world.post("/api/compare").body("multipart/form-data", "x").send();
    unbounded.refused(400, "malformed");
    world.get("/api/items?from=x").send().refused(400, "malformed");
    world.get("/api/items/%FF").send().refused(400, "malformed");
    world.get("/nowhere").send().refused(404, "no-address");
    world.get("/api/search").send().refused(405, "method");
}

#[test]
fn without_a_model_items_are_found_and_pictures_are_not() {
    let copy = tempfile::tempdir().unwrap();
    let mut writer = tercet_gallery::Writer::create(
        copy.path(),
        tercet_gallery::Settings {
            dimensions: 2,
            metric: tercet::Distance::Euclidean.into(),
            model: "elsewhere".to_owned(),
            quantization: None,
        },
    )
    .unwrap();
    use tercet_gallery::{Duplicates, Item, Vectors, WriteGallery};
    let rows = ndarray::array![[0.0_f32, 0.0], [3.0, 4.0]];
    let vectors = Vectors { model: "elsewhere", rows: rows.view() };
    let items = [Item::new("a"), Item::new("b").labelled("B").with("camera", "1")];
    writer.add(vectors, &items, Duplicates::Refuse).unwrap();
    drop(writer);
    let world = World::serving(copy.path().to_owned(), Some(copy), |_| {});
    let found = world.post("/api/search").json(&json!({ "id": "a" })).send().json();
    let expected = json!([{
        "id": "b", "label": "B", "attributes": { "camera": "1" }, "distance": 5.0, "same": null,
        "probability": null,
    }]);
    assert_eq!(found["hits"], expected);
    world.post("/api/search").body("image/png", one().1).send().refused(422, "no-model");
    world.get("/api/model").send().refused(404, "no-model");
    world.get("/api/items/a/thumbnail").send().refused(404, "no-thumbnail");
}

/// A model file with another configuration in its card.
fn configured(file: &[u8], config: &Value) -> Vec<u8> {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut head: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let metadata = &mut head["__metadata__"]["tercet"];
    let mut card: Value = serde_json::from_str(metadata.as_str().unwrap()).unwrap();
    card["provenance"]["config"] = config.clone();
    *metadata = card.to_string().into();
    let head = head.to_string().into_bytes();
    [&(head.len() as u64).to_le_bytes()[..], &head[..], &file[8 + length..]].concat()
}

#[test]
fn the_model_says_where_its_data_was_by_the_last_part_only() {
    use tercet_gallery::{WriteGallery, Writer};
    let reader = tercet_gallery::reader(&crate::world::glyphs().display().to_string()).unwrap();
    let file = reader.model().unwrap().unwrap();
    let config = json!({ "source": "folder:/home/ann/secret place/photos", "out": "/srv/a/m.st" });
    let file = configured(&file, &config);
    let model = tercet_train::Model::from_bytes(file.clone(), "glyphs".as_ref()).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let settings = tercet_gallery::Settings {
        dimensions: reader.settings().dimensions,
        metric: model.metric(),
        model: model.fingerprint.clone(),
        quantization: None,
    };
    let folder = copy.path().join("gallery");
    let mut writer = Writer::create(&folder, settings).unwrap();
    writer.keep_model(&file).unwrap();
    drop(writer);
    let world = World::serving(folder, Some(copy), |_| {});
    let answer = world.get("/api/model").send();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let told = &answer.json()["provenance"]["config"];
    assert_eq!((&told["source"], &told["out"]), (&json!("folder:photos"), &json!("m.st")));
    assert!(
        !text.contains("secret") && !text.contains("/srv") && !text.contains("/home"),
        "{text}"
    );
}

#[test]
fn items_are_found_by_class_and_name() {
    let world = World::shared(|_| {});
    let first = world.get("/api/items?limit=1").send().json()["items"][0].clone();
    let (id, label) = (first["id"].as_str().unwrap(), first["label"].as_str().unwrap());
    let find = |text: &str| {
        let target = format!("/api/items?limit=30&find={}", crate::world::escaped(text));
        world.get(&target).send().json()["items"].as_array().unwrap().clone()
    };
    assert_eq!(find(id)[0]["id"], id);
    let found = find(label);
    assert!(found.len() >= 21 && found[0]["label"] == label, "{found:?}");
    assert!(find("no such thing").is_empty());
}
