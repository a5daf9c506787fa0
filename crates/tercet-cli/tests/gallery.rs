//! `tercet gallery` from pictures and embeddings to answers.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{World, fail, json, pictures, run, stderr, succeed, tercet};
use serde_json::Value;

fn create(gallery: &str, source: &str, more: &[&str]) -> Value {
    let world = World::get();
    let model = world.text("model.safetensors");
    let start = ["gallery", "create", gallery, source, "--model", &model, "--json", "--quiet"];
    json(&[&start, more].concat())
}

fn ids(found: &Value, query: usize) -> Vec<&str> {
    let hits = found["queries"][query]["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

#[test]
fn from_a_folder_of_pictures_to_what_is_near() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let gallery = folder.path().join("photos.gallery").to_str().unwrap().to_owned();
    let photos = world.text("photos");
    let created = create(&gallery, &photos, &[]);
    assert_eq!((&created["items"], &created["added"]), (&48.into(), &48.into()));

    // Nothing in it tells in which folders of this machine gallery and pictures are.
    for file in fs::read_dir(&gallery).unwrap().map(|file| file.unwrap().path()) {
        let bytes = if file.is_file() { fs::read(&file).unwrap() } else { Vec::new() };
        let text = String::from_utf8_lossy(&bytes);
        for secret in [folder.path(), world.folder.path()] {
            // Both folders are in the system's folder for temporary files.
            let secret = secret.parent().unwrap().to_str().unwrap();
            assert!(!text.contains(&format!("{secret}/")), "{}", file.display());
        }
    }

    let info = json(&["gallery", "info", &gallery, "--verify", "--json"]);
    assert_eq!((&info["items"], &info["dimensions"]), (&48.into(), &8.into()));
    assert_eq!(info["has_model"], true);
    assert_eq!(info["model"], created["model"]);
    assert_eq!(info["labels"]["class 3"], 6);
    assert_eq!(info["verified"]["items"], 48);
    assert!(succeed(&["gallery", "info", &gallery]).contains("48 of 8 classes"));

    // A picture of the gallery is nearest to itself, with nothing but the gallery.
    let picture = world.text("photos/class 3/2.png");
    let other = world.text("photos/class 5/1.jpg");
    let found = json(&["gallery", "search", &gallery, &picture, &other, "-k", "3", "--json"]);
    assert_eq!(found["method"], "exact");
    assert_eq!((ids(&found, 0)[0], ids(&found, 1)[0]), ("class 3/2.png", "class 5/1.jpg"));
    let first = &found["queries"][0]["hits"][0];
    assert!(first["distance"].as_f64().unwrap() < 1e-3, "{first}");
    assert_eq!((&first["same"], &first["label"]), (&true.into(), &"class 3".into()));
    let probabilities: Vec<f64> = found["queries"][0]["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["probability"].as_f64().unwrap())
        .collect();
    assert!(probabilities.is_sorted_by(|x, y| x >= y) && probabilities[0] > 0.5);
    assert!(found["threshold"].as_f64().unwrap() > 0.0);

    // An item is never its own match; filters hold.
    let by_id = json(&["gallery", "search", &gallery, "--id", "class 3/2.png", "--json"]);
    assert_eq!(ids(&by_id, 0).len(), 10);
    assert!(!ids(&by_id, 0).contains(&"class 3/2.png"));
    let filtered = ["--label", "class 1", "--label", "class 2", "-k", "20", "--json"];
    let filtered = json(&[&["gallery", "search", &gallery, &picture][..], &filtered].concat());
    assert_eq!(ids(&filtered, 0).len(), 12);
    let text = succeed(&["gallery", "search", &gallery, &picture, "--threshold", "0.5"]);
    assert!(text.contains("class 3/2.png") && text.contains("0.5000, as given"), "{text}");

    // The vectors of the same model find the same.
    let embeddings = folder.path().join("e.safetensors").to_str().unwrap().to_owned();
    let model = world.text("model.safetensors");
    succeed(&["embed", &model, &photos, "--out", &embeddings, "--quiet"]);
    let by_vector = json(&["gallery", "search", &gallery, &embeddings, "-k", "3", "--json"]);
    assert_eq!(by_vector["queries"].as_array().unwrap().len(), 48);
    assert_eq!(by_vector["queries"][20]["query"], ids(&by_vector, 20)[0]);

    // Removed is gone, by id and by class; then its room.
    let removed = json(&["gallery", "remove", &gallery, "class 3/2.png", "--json"]);
    assert_eq!((&removed["removed"], &removed["items"]), (&1.into(), &47.into()));
    succeed(&["gallery", "remove", &gallery, "--label", "class 7"]);
    let found = json(&["gallery", "search", &gallery, &picture, "-k", "50", "--json"]);
    assert_eq!(ids(&found, 0).len(), 41);
    assert_eq!(json(&["gallery", "compact", &gallery, "--json"])["rows"], 7);
    assert_eq!(json(&["gallery", "info", &gallery, "--json"])["removed"], 0);

    // Adding the source again puts back what is missing, and only that.
    let added = json(&["gallery", "add", &gallery, &photos, "--json", "--quiet"]);
    assert_eq!((&added["added"], &added["kept"]), (&7.into(), &41.into()));
    let again = json(&["gallery", "add", &gallery, &photos, "--replace", "--json", "--quiet"]);
    assert_eq!((&again["added"], &again["replaced"]), (&0.into(), &48.into()));
    assert_eq!(json(&["gallery", "info", &gallery, "--verify", "--json"])["items"], 48);
}

/// What a search decided and by what.
const DECIDED: [&str; 5] =
    ["threshold", "prior", "false_matches_per_query", "expected_known_found", "basis"];

#[test]
fn a_search_decides_by_the_size_of_the_gallery() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let gallery = folder.path().join("g").to_str().unwrap().to_owned();
    create(&gallery, &world.text("photos"), &[]);
    let picture = world.text("photos/class 3/2.png");
    let search = |more: &[&str]| json(&[&["gallery", "search", &gallery, "--json"], more].concat());
    let found = search(&[&picture, "-k", "48"]);
    for key in DECIDED {
        assert!(!found[key].is_null(), "{key}: {found}");
    }
    // Half of the queries are of one of eight classes.
    assert_eq!(found["prior"], 0.5 / 8.0);
    assert_eq!(found["false_matches_per_query"], 0.01);
    let query = &found["queries"][0];
    assert_eq!((&query["known"], &query["suggested"]), (&true.into(), &"class 3".into()));
    let hits = query["hits"].as_array().unwrap();
    let number = |hit: &Value, key: &str| hit[key].as_f64().unwrap();
    assert!(hits.is_sorted_by(|x, y| number(x, "probability") >= number(y, "probability")));
    for hit in hits {
        let same = hit["same"].as_bool().unwrap();
        assert_eq!(same, number(hit, "distance") < found["threshold"].as_f64().unwrap());
        assert!(!same || number(hit, "probability") >= 0.5, "{hit}");
        assert!(hit.get("other_class").is_none(), "the class of a picture is not known");
    }

    // More false matches are a larger threshold; what was given wins, and its price is stated.
    let loose = search(&[&picture, "--false-matches", "0.5"]);
    assert!(number(&loose, "threshold") >= number(&found, "threshold"));
    let given = search(&[&picture, "--threshold", "1000"]);
    assert_eq!((&given["threshold"], &given["basis"]), (&1000.0.into(), &"given".into()));
    assert!(number(&given, "false_matches_per_query") > 1.0, "{given}");
    let error = fail(&["gallery", "search", &gallery, &picture, "--false-matches", "2"], 2);
    assert!(error.contains("--false-matches is 2"), "{error}");
    fail(&["gallery", "search", &gallery, &picture, "--false-matches", "0.1", "--far", "0.1"], 2);

    // A query that nothing is the same as: no class is suggested.
    let none = search(&[&picture, "--threshold", "0"]);
    assert_eq!(
        (&none["queries"][0]["known"], &none["queries"][0]["suggested"]),
        (&false.into(), &Value::Null)
    );
    let text = succeed(&["gallery", "search", &gallery, &picture, "--threshold", "0"]);
    assert!(text.contains("not similar to anything in the gallery"), "{text}");

    // Items of other classes than the query's are marked.
    let by_id = ["--id", "class 3/2.png", "-k", "48", "--threshold", "1000"];
    let found = search(&by_id);
    assert_eq!(found["queries"][0]["class"], "class 3");
    for hit in found["queries"][0]["hits"].as_array().unwrap() {
        assert_eq!(hit["other_class"], hit["label"] != "class 3");
    }
    let text = succeed(&[&["gallery", "search", &gallery], &by_id[..]].concat());
    let header = text.lines().nth(1).unwrap();
    let columns: Vec<&str> = header.split_whitespace().collect();
    assert_eq!(columns, ["rank", "distance", "same", "prob.", "class", "item"]);
    assert!(text.contains("≠ class") && text.contains("another class than the query"), "{text}");
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 80, "{widest} columns:\n{text}");
}

/// A model file with another card.
fn with_card(model: &str, path: &str, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(model).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let text = header["__metadata__"]["tercet"].as_str().unwrap();
    let mut card: Value = serde_json::from_str(text).unwrap();
    change(&mut card);
    header["__metadata__"]["tercet"] = card.to_string().into();
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    let bytes = [
        &length[..],
        &header,
        &bytes[8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize..],
    ]
    .concat();
    fs::write(path, bytes).unwrap();
}

#[test]
fn models_of_earlier_versions_and_unlabelled_galleries_are_decided_too() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (photos, model) = (world.text("photos"), world.text("model.safetensors"));
    let picture = world.text("photos/class 3/2.png");
    let search = |gallery: &str| json(&["gallery", "search", gallery, &picture, "--json"]);
    // Neither what is measured now, nor the rates that were measured before.
    with_card(&model, &path("old"), |card| {
        assert!(card["open_set"].is_object(), "training stores what searches need");
        card.as_object_mut().unwrap().remove("open_set");
    });
    with_card(&path("old"), &path("oldest"), |card| {
        card["provenance"]["results"] = Value::Null;
    });
    for (name, basis) in [("old", "false-accept-rates"), ("oldest", "pairs")] {
        let gallery = path(&format!("{name}.gallery"));
        json(&[
            "gallery",
            "create",
            &gallery,
            &photos,
            "--model",
            &path(name),
            "--json",
            "--quiet",
        ]);
        let found = search(&gallery);
        assert_eq!(found["basis"], basis, "{found}");
        assert!(found["note"].as_str().unwrap().contains("rain the model again"), "{found}");
        let text = succeed(&["gallery", "search", &gallery, &picture]);
        assert!(text.contains("note: "), "{text}");
        assert!(found["queries"][0]["hits"][0]["probability"].is_f64(), "{found}");
    }
    let oldest = path("oldest.gallery");
    let error = fail(&["gallery", "search", &oldest, &picture, "--false-matches", "0.1"], 2);
    assert!(error.contains("--threshold"), "{error}");

    // Every item without a label may be of a class of its own.
    let flat = path("flat");
    fs::create_dir(&flat).unwrap();
    for class in 0..4 {
        let from = world.text(&format!("photos/class {class}/0.png"));
        fs::copy(from, format!("{flat}/{class}.png")).unwrap();
    }
    let gallery = path("flat.gallery");
    create(&gallery, &flat, &[]);
    let found = search(&gallery);
    assert_eq!(found["prior"], 0.5 / 4.0);
    assert!(found["threshold"].is_f64(), "{found}");
    assert_eq!(found["queries"][0]["suggested"], Value::Null);
}

#[test]
fn the_model_of_the_newest_run_is_found() {
    let world = World::get();
    let run = |arguments: &[&str]| {
        let output = tercet(arguments).current_dir(world.folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    let output = run(&["gallery", "create", "found.gallery", "photos"]);
    assert!(stderr(&output).contains("runs/photos-1/model.safetensors"), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("48 items in found.gallery"), "{text}");
    assert!(text.contains("tercet serve found.gallery"), "{text}");
}

#[test]
fn galleries_of_embeddings() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (photos, model) = (world.text("photos"), world.text("model.safetensors"));
    for name in ["e.safetensors", "e.parquet", "e.npy"] {
        succeed(&["embed", &model, &photos, "--out", &path(name), "--quiet"]);
    }
    let labels: String = (0..8).flat_map(|class| vec![format!("class {class}\n"); 6]).collect();
    fs::write(path("labels.txt"), labels).unwrap();

    // The same gallery from pictures and from vectors.
    create(&path("pictures"), &photos, &[]);
    let query = world.text("photos/class 1/3.jpg");
    let expected = json(&["gallery", "search", &path("pictures"), &query, "--json"]);
    for name in ["e.safetensors", "e.parquet"] {
        let gallery = path(&format!("{name}.gallery"));
        assert_eq!(create(&gallery, &path(name), &[])["added"], 48);
        let found = json(&["gallery", "search", &gallery, &query, "--json"]);
        assert_eq!(found["queries"], expected["queries"], "{name}");
    }

    // Numbers alone: the metric is told, the ids are rows.
    let bare = path("bare");
    let start = ["gallery", "create", &bare, &path("e.npy"), "--json", "--quiet"];
    let more = ["--labels", &path("labels.txt"), "--distance", "cosine", "--quantize", "i8"];
    let made = json(&[&start[..], &more].concat());
    assert_eq!(made["model"], "unknown");
    let found = json(&["gallery", "search", &bare, &path("e.npy"), "-k", "1", "--json"]);
    assert_eq!(found["method"], "quantized");
    assert_eq!((ids(&found, 0)[0], ids(&found, 47)[0]), ("0", "47"));
    let exact = json(&["gallery", "search", &bare, &path("e.npy"), "--exact", "--json"]);
    assert_eq!(exact["method"], "exact");
    assert_eq!(exact["queries"][9]["hits"][0]["label"], "class 1");
    let error = fail(&["gallery", "search", &bare, &query], 2);
    assert!(error.contains("keeps no model") && error.contains("--model"), "{error}");
}

#[test]
fn pictures_without_classes_and_two_sources_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let flat = folder.path().join("flat");
    fs::create_dir(&flat).unwrap();
    pictures(&folder.path().join("tree"));
    for class in 0..2 {
        for name in ["0.png", "2.png"] {
            let from = folder.path().join(format!("tree/class {class}/{name}"));
            fs::copy(from, flat.join(format!("{class}-{name}"))).unwrap();
        }
    }
    let flat = flat.to_str().unwrap();
    let gallery = folder.path().join("g").to_str().unwrap().to_owned();
    create(&gallery, flat, &[]);
    let info = json(&["gallery", "info", &gallery, "--json"]);
    assert_eq!((&info["items"], &info["labels"]), (&4.into(), &serde_json::json!({})));

    // The same names in another place would be the same ids.
    let add = ["gallery", "add", &gallery, flat, "--prefix", "second/", "--json", "--quiet"];
    let added = json(&add);
    assert_eq!((&added["added"], &added["items"]), (&4.into(), &8.into()));
    let manifest = folder.path().join("list.csv");
    fs::write(&manifest, "path,label,camera\nflat/0-0.png,zero,north\nflat/1-0.png,one,south\n")
        .unwrap();
    let manifest = manifest.to_str().unwrap();
    json(&["gallery", "add", &gallery, manifest, "--json", "--quiet"]);
    let start = ["gallery", "search", &gallery, &format!("{flat}/0-0.png"), "--json"];
    let found = json(&[&start[..], &["--attribute", "camera=south"]].concat());
    assert_eq!(ids(&found, 0), ["flat/1-0.png"]);
    assert_eq!(found["queries"][0]["hits"][0]["attributes"]["camera"], "south");

    // One id, two classes: nobody decides silently.
    fs::write(manifest, "path,label\nflat/0-0.png,two\n").unwrap();
    let error = fail(&["gallery", "add", &gallery, manifest, "--quiet"], 1);
    for word in ["flat/0-0.png", "zero", "two", "--replace", "--prefix"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn wrong_input_is_named() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (photos, model) = (world.text("photos"), world.text("model.safetensors"));
    let gallery = path("gallery");
    create(&gallery, &photos, &[]);
    let expect = |arguments: &[&str], status: i32, words: &[&str]| {
        let error = fail(arguments, status);
        for word in words {
            assert!(error.contains(word), "{arguments:?} does not say `{word}`: {error}");
        }
    };

    expect(&["gallery", "create", &gallery, &photos, "--model", &model], 1, &["already", "add"]);
    expect(&["gallery", "create", &path("g"), &path("none"), "--model", &model], 1, &["none"]);
    expect(&["gallery", "create", &path("g"), "glyphs"], 2, &["glyphs-1", "--model", "train"]);
    expect(&["gallery", "create", &path("g"), &model], 2, &["is a model", "--model"]);
    expect(&["gallery", "create", &path("g"), &photos, "--quantize", "i4"], 2, &["i4"]);
    let start = ["gallery", "create", &path("g"), &photos, "--model", &model];
    expect(&[&start[..], &["--distance", "cosine"]].concat(), 2, &["--distance"]);
    if !cfg!(feature = "hnsw") {
        expect(
            &[&start[..], &["--index", "hnsw"]].concat(),
            1,
            &["--index hnsw", "--features full"],
        );
    }
    if !cfg!(feature = "postgres") {
        let address = "postgres://ann:secret@host/faces";
        let error = fail(&["gallery", "info", address], 1);
        assert!(
            error.contains("PostgreSQL: cargo install") && !error.contains("secret"),
            "{error}"
        );
    }
    assert!(!folder.path().join("g").exists(), "a start that fails leaves nothing behind");

    expect(&["gallery", "info", &path("none")], 1, &["none", "no gallery"]);
    expect(&["gallery", "add", &photos, &photos], 1, &["no gallery"]);
    expect(&["gallery", "remove", &gallery], 2, &["--label"]);
    expect(&["gallery", "remove", &gallery, "class 1/0.png", "nobody"], 1, &["nobody"]);
    expect(&["gallery", "remove", &gallery, "--label", "nobody"], 1, &["nobody"]);
    expect(&["gallery", "search", &gallery], 2, &["--id"]);
    expect(&["gallery", "search", &gallery, "--id", "nobody"], 1, &["nobody"]);
    expect(&["gallery", "search", &gallery, &path("none.png")], 1, &["none.png"]);
    let picture = world.text("photos/class 1/0.png");
    expect(&["gallery", "search", &gallery, &picture, "-k", "0"], 1, &["k"]);
    expect(&["gallery", "search", &gallery, &picture, "--attribute", "x"], 2, &["NAME=VALUE"]);
    expect(&["gallery", "search", &gallery, &picture, "--far", "0.5"], 2, &["0.001"]);
    assert_eq!(json(&["gallery", "info", &gallery, "--json"])["items"], 48);

    // Another model: refused at every door.
    let other = path("other.safetensors");
    let tiny = ["--batch", "3x2", "--size", "16", "--width", "4", "--steps", "1", "--quiet"];
    let train = ["train", &photos, "--run", &path("run"), "--out", &other, "--seed", "5"];
    succeed(&[&train[..], &tiny].concat());
    let words = ["fingerprint"];
    expect(&["gallery", "search", &gallery, &picture, "--model", &other], 1, &words);
    expect(&["gallery", "add", &gallery, &photos, "--model", &other], 1, &words);
    let vectors = path("other-vectors.safetensors");
    succeed(&["embed", &other, &photos, "--out", &vectors, "--quiet"]);
    expect(&["gallery", "search", &gallery, &vectors], 1, &words);
    expect(&["gallery", "add", &gallery, &vectors], 1, &words);
    expect(&["gallery", "create", &path("h"), &vectors, "--model", &model], 1, &words);

    // A file that cannot be decoded stops by its name, or is left out; what came before stays.
    let bad = path("bad");
    pictures(bad.as_ref());
    fs::write(path("bad/class 7/5.jpg"), "not a picture").unwrap();
    let (half, rest) = (path("half"), ["--model", &model]);
    let error = fail(&[&["gallery", "create", &half, &bad][..], &rest].concat(), 1);
    assert!(error.contains("class 7/5.jpg") && error.contains("gallery add"), "{error}");
    let there = json(&["gallery", "info", &half, "--json"])["items"].as_u64().unwrap();
    assert!(there > 0 && there < 48);
    let done = json(&["gallery", "add", &half, &bad, "--skip-bad", "--json", "--quiet"]);
    assert_eq!((&done["items"], &done["skipped"][0]["id"]), (&47.into(), &"class 7/5.jpg".into()));

    // A damaged file is named.
    let segment = path("gallery/vectors-000000.f32");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    fs::write(&segment, bytes).unwrap();
    expect(&["gallery", "info", &gallery], 1, &["vectors-000000.f32", "damaged"]);
}

/// The command is killed again and again; each start goes on where the one before was stopped.
/// `TERCET_TEST_KILLS=100` kills it oftener.
#[test]
fn a_killed_command_loses_nothing_and_goes_on() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let gallery = folder.path().join("gallery").to_str().unwrap().to_owned();
    // Begun with nothing of the source.
    let photos = world.text("photos");
    let class = world.text("photos/class 0");
    create(&gallery, &class, &["--prefix", "first/"]);
    let add = ["gallery", "add", &gallery, "glyphs", "--quiet", "--threads", "1"];
    let items = || json(&["gallery", "info", &gallery, "--json"])["items"].as_u64().unwrap();
    let mut before = items();
    let mut grown = 0;
    let kills = std::env::var("TERCET_TEST_KILLS").map_or(6, |kills| kills.parse().unwrap());
    for kill in 0..kills {
        let mut child = tercet(&add).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Until it has acknowledged something, then a little longer, ever differently.
        let deadline = Instant::now() + Duration::from_secs(60);
        while items() == before && child.try_wait().unwrap().is_none() && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(kill * 37 % 100));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = items();
        assert!(now >= before, "kill {kill}: {now} items after {before}");
        grown += u64::from(now > before);
        before = now;
    }
    assert!(grown > 2, "only {grown} rounds added anything: the test has tested little");
    let verified = json(&["gallery", "info", &gallery, "--verify", "--json"]);
    assert_eq!(verified["verified"]["items"], before);
    let more = json(&["gallery", "add", &gallery, &photos, "--json", "--quiet"]);
    assert_eq!((&more["added"], &more["items"]), (&48.into(), &(before + 48).into()));
    let output = run(&["gallery", "search", &gallery, &world.text("photos/class 2/1.jpg")]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("class 2/1.jpg"));
}
