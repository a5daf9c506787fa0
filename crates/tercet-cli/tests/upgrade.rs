//! A new model that stays compatible with an old one, and a gallery that is upgraded to it.

#![cfg(feature = "gallery")]
#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{TINY, World, fail, json, run, stderr, succeed, tercet};
use serde_json::Value;

/// A wider model that was trained compatibly with the world's model for a moment, with what training
/// printed.
fn new_model() -> &'static (String, Value) {
    static NEW: OnceLock<(String, Value)> = OnceLock::new();
    NEW.get_or_init(|| {
        let world = World::get();
        let (photos, old) = (world.text("photos"), world.text("model.safetensors"));
        let (out, run) = (world.text("new.safetensors"), world.text("runs/new"));
        let mut arguments = vec!["train", &photos, "--run", &run, "--out", &out, "--quiet"];
        arguments.extend(["--json", "--steps", "60", "--holdout", "0.5", "--compatible", &old]);
        arguments.extend([
            "--batch",
            "3x2",
            "--size",
            "16",
            "--width",
            "6",
            "--embedding-dim",
            "8",
        ]);
        let trained = json(&arguments);
        (out, trained)
    })
}

/// A gallery of pictures by the world's model; the pictures are a copy that the test may change.
struct Upgraded {
    _folder: tempfile::TempDir,
    gallery: String,
    photos: String,
}

impl Upgraded {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (gallery, photos) = (path("gallery"), path("photos"));
        common::pictures(photos.as_ref());
        let model = World::get().text("model.safetensors");
        succeed(&["gallery", "create", &gallery, &photos, "--model", &model, "--quiet"]);
        Self { _folder: folder, gallery, photos }
    }

    fn upgrade(&self, more: &[&str]) -> Value {
        json(&[&["upgrade", &self.gallery, "--json", "--quiet"], more].concat())
    }

    fn info(&self) -> Value {
        json(&["gallery", "info", &self.gallery, "--verify", "--json"])
    }

    /// All items by their distance from one of them, with their ids.
    fn ranking(&self, id: &str) -> Value {
        ranking(&self.gallery, id)
    }
}

fn ranking(gallery: &str, id: &str) -> Value {
    json(&["gallery", "search", gallery, "--id", id, "-k", "5000", "--exact", "--json"])["queries"]
        [0]["hits"]
        .clone()
}

fn fingerprint(model: &str) -> String {
    // Embeddings record the fingerprint of their model.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("e.safetensors").to_str().unwrap().to_owned();
    let photos = World::get().text("photos/class 1");
    succeed(&["embed", model, &photos, "--out", &out, "--quiet"]);
    let bytes = fs::read(&out).unwrap();
    let text = String::from_utf8_lossy(&bytes[..2000.min(bytes.len())]).into_owned();
    let at = text.find("\"model\":\"").unwrap() + 9;
    text[at..].split('"').next().unwrap().to_owned()
}

#[test]
fn training_reports_the_compatibility_and_the_model_records_it() {
    let (model, trained) = new_model();
    let compatible = &trained["compatible"];
    let old = World::get().text("model.safetensors");
    assert_eq!(compatible["model"], old.as_str());
    assert_eq!(compatible["fingerprint"], fingerprint(&old).as_str());
    assert_eq!(compatible["weight"], 5.0);
    for case in ["old_old", "new_old", "old_new", "new_new"] {
        let found = &compatible["table"][case];
        assert_eq!(found["queries"], trained["after"]["queries"], "{case}");
        assert!(found["ci95"]["map_at_r"][0].is_number() && found["recall_at_k"]["1"].is_number());
    }
    assert_eq!(compatible["table"]["new_new"]["map_at_r"], trained["after"]["map_at_r"]);
    let differences = compatible["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 12, "six pairs of cases in two figures");
    assert!(differences.iter().all(|difference| difference["p_holm"].is_number()));
    let bytes = fs::read(model).unwrap();
    let card = String::from_utf8_lossy(&bytes[..20_000.min(bytes.len())]).into_owned();
    assert!(card.contains(&fingerprint(&old)), "the card names the old model");
    let metrics = fs::read_to_string(World::get().path("runs/new/metrics.jsonl")).unwrap();
    assert!(metrics.contains("compatible_loss"));
}

/// Trains for a few steps with these further arguments; returns the weights as embeddings of photos.
fn trained_briefly(folder: &Path, name: &str, more: &[&str]) -> Vec<u8> {
    let world = World::get();
    let photos = world.text("photos");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (model, run, vectors) =
        (path(&format!("{name}.safetensors")), path(name), path(&format!("{name}.npy")));
    let fixed = ["train", &photos, "--run", &run, "--out", &model, "--quiet", "--steps", "12"];
    succeed(&[&fixed[..], &["--seed", "3"], &TINY[..8], more].concat());
    succeed(&["embed", &model, &photos, "--out", &vectors, "--quiet"]);
    fs::read(vectors).unwrap()
}

#[test]
fn weight_0_is_a_run_without_and_any_other_weight_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let old = World::get().text("model.safetensors");
    let train = |name, more: &[&str]| trained_briefly(folder.path(), name, more);
    let without = train("without", &[]);
    let zero = train("zero", &["--compatible", &old, "--compatible-weight", "0"]);
    assert!(without == zero, "weight 0 changes nothing");
    let half = train("half", &["--compatible", &old, "--compatible-weight", "0.5"]);
    assert!(without != half);
    // The other ways to compose a batch take part in it too.
    let pool = ["--compatible", &old, "--pool", "4x3", "--memory", "12"];
    assert!(train("pool", &pool) != train("pool-without", &pool[2..]));
}

#[test]
fn a_killed_compatible_run_resumes_to_the_same_bytes() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (photos, old) = (world.text("photos"), path("old.safetensors"));
    fs::copy(world.path("model.safetensors"), &old).unwrap();
    let train = |run: &str| {
        let more = ["--compatible", &old, "--steps", "200", "--checkpoint-every", "5", "--quiet"];
        let fixed = ["train", &photos, "--run", run];
        [&fixed[..], &TINY[..8], &more].concat().iter().map(|word| (*word).to_owned()).collect()
    };
    let words = |words: &Vec<String>| -> Vec<&'static str> {
        words.iter().map(|word| &*Box::leak(word.clone().into_boxed_str())).collect()
    };
    let (whole, killed): (Vec<String>, Vec<String>) =
        (train(&path("whole")), train(&path("killed")));
    succeed(&words(&whole));
    let mut child = tercet(&words(&killed)).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = folder.path().join("killed/checkpoints/step-00000005");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !checkpoint.exists() && Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let bytes = |run: &str| fs::read(folder.path().join(run).join("model.safetensors"));
    assert!(bytes("killed").is_err(), "the run was killed before its end");

    // Another file in the place of the old model is noticed.
    let kept = fs::read(&old).unwrap();
    let (new, _) = new_model();
    fs::copy(new, &old).unwrap();
    let resume = ["train", "--resume", &path("killed"), "--quiet"];
    let error = fail(&resume, 1);
    assert!(error.contains("old.safetensors"), "{error}");
    fs::write(&old, kept).unwrap();
    succeed(&resume);
    assert!(bytes("killed").unwrap() == bytes("whole").unwrap());
}

#[test]
fn models_that_cannot_be_compatible_are_refused() {
    let world = World::get();
    let (photos, old) = (world.text("photos"), world.text("model.safetensors"));
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run").to_str().unwrap().to_owned();
    let base = ["train", &photos, "--run", &run, "--steps", "1", "--size", "16", "--width", "4"];
    let refuse = |more: &[&str], status, expected: &[&str]| {
        let error = fail(&[&base[..], more].concat(), status);
        for text in expected {
            assert!(error.contains(text), "{more:?}: {error}");
        }
        assert!(error.trim_end().lines().count() <= 3, "{error}");
    };
    let with = ["--compatible", &old];
    refuse(
        &[&with[..], &["--embedding-dim", "9"]].concat(),
        2,
        &["embedding-dim is 9", "--embedding-dim 8"],
    );
    let dimensions = ["--embedding-dim", "8"];
    let with = [&with[..], &dimensions].concat();
    refuse(&[&with[..], &["--objective", "batch-hard"]].concat(), 2, &["compatible", "euclidean"]);
    refuse(&[&with[..], &["--compatible-weight", "-1"]].concat(), 2, &["compatible-weight is -1"]);
    refuse(&["--compatible-weight", "2"], 2, &["--compatible MODEL"]);
    refuse(&["--compatible", "nothing.safetensors"], 1, &["nothing.safetensors"]);
    refuse(&[&with[..], &["--out", &old]].concat(), 2, &["model.safetensors"]);
    assert!(!Path::new(&run).join("config.toml").exists());
}

#[test]
fn an_upgrade_is_measured_before_anything_changes() {
    let gallery = Upgraded::new();
    let (new, _) = new_model();
    let before = gallery.ranking("class 2/3.jpg");
    let measured = gallery.upgrade(&["--model", new]);
    assert_eq!(measured["pictures"]["found"], 48);
    assert_eq!(measured["held_out"], true, "classes that both models have held out");
    assert_eq!(measured["classes"], 4);
    assert_eq!((&measured["items"], &measured["fitted_to"]), (&24.into(), &24.into()));
    for case in ["old_old", "new_old", "old_new", "new_new", "new_adapted"] {
        let found = &measured["table"][case];
        assert_eq!(found["queries"], 24, "{case}");
        assert!(found["ci95"]["recall_at_1"][1].is_number());
    }
    assert_eq!(measured["differences"].as_array().unwrap().len(), 20);
    assert_eq!(measured["adapters"].as_array().unwrap().len(), 3);
    let action = measured["recommendation"]["action"].as_str().unwrap();
    assert!(["keep", "adapter", "backfill", "refuse"].contains(&action));
    assert!(measured["recommendation"]["reason"].as_str().unwrap().len() > 20);
    assert_eq!(gallery.ranking("class 2/3.jpg"), before);
    let text = succeed(&["upgrade", &gallery.gallery, "--model", new]);
    assert!(text.contains("new queries, old gallery") && text.contains("recommended: "), "{text}");

    // On the items of a source: here the classes are those of the gallery, so half of them are used.
    let photos = World::get().text("photos");
    let measured = gallery.upgrade(&["--model", new, "--measure", &photos]);
    assert_eq!(
        (&measured["classes"], &measured["measured_on"]),
        (&4.into(), &photos.as_str().into())
    );
    let old = World::get().text("model.safetensors");
    let refuse = |more: &[&str], status, expected: &str| {
        let error = fail(&[&["upgrade", &gallery.gallery], more].concat(), status);
        assert!(error.contains(expected), "{more:?}: {error}");
    };
    refuse(&["--model", &old], 2, "nothing to upgrade");
    refuse(&["--model", new, "--old", new], 1, "fingerprint");
    refuse(&["--rollback"], 1, "no version before an upgrade");
    refuse(&["--finish"], 1, "no version before an upgrade");
    refuse(&["--apply", "backfill"], 2, "--model");
    refuse(&["--model", new, "--pictures", "nowhere"], 1, "nowhere");
    let error = fail(&["upgrade", "postgres://ann:secret@host/faces", "--model", new], 2);
    assert!(error.contains("a gallery in a folder") && !error.contains("secret"), "{error}");
    // Pictures of the same names that are others.
    let others = tempfile::tempdir().unwrap();
    for class in 0..8 {
        let (from, to) = (format!("class {class}"), format!("class {}", (class + 3) % 8));
        fs::create_dir(others.path().join(&to)).unwrap();
        for entry in fs::read_dir(Path::new(&gallery.photos).join(from)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), others.path().join(&to).join(entry.file_name())).unwrap();
        }
    }
    let others = others.path().to_str().unwrap();
    refuse(&["--model", new, "--pictures", others], 2, "not those of the gallery");
}

#[test]
fn a_backfill_without_all_pictures_says_so_in_every_search_and_can_be_undone() {
    let gallery = Upgraded::new();
    let (new, _) = new_model();
    let before = gallery.ranking("class 1/0.png");
    let missing = ["class 0/1.jpg", "class 1/2.png", "class 5/5.jpg"];
    for id in missing {
        fs::remove_file(Path::new(&gallery.photos).join(id)).unwrap();
    }
    let done = gallery.upgrade(&["--model", new, "--apply", "backfill"]);
    assert_eq!((&done["computed"], &done["carried"]), (&45.into(), &3.into()));
    let info = gallery.info();
    assert_eq!((&info["items"], &info["carried"]["items"]), (&48.into(), &3.into()));
    assert_eq!(info["model"], fingerprint(new).as_str());
    assert!(!Path::new(&gallery.gallery).join("upgrade").exists());

    // A picture as a query, without naming the model: the gallery keeps the new one.
    let picture = format!("{}/class 1/0.png", gallery.photos);
    let answer = json(&["gallery", "search", &gallery.gallery, &picture, "-k", "48", "--json"]);
    assert!(answer["versions"].as_str().unwrap().contains("3 of the 48 items"));
    let hits = answer["queries"][0]["hits"].as_array().unwrap();
    assert_eq!((hits.len(), &hits[0]["id"]), (48, &"class 1/0.png".into()));
    assert!(hits[0]["distance"].as_f64().unwrap() < 1e-3, "its vector was computed again");
    let marked: Vec<&str> = hits
        .iter()
        .filter(|hit| hit.get("origin").is_some())
        .map(|hit| hit["id"].as_str().unwrap())
        .collect();
    assert_eq!(marked.len(), 3);
    assert!(missing.iter().all(|id| marked.contains(id)), "{marked:?}");
    assert!(hits.is_sorted_by_key(|hit| hit["distance"].as_f64().unwrap()));
    let probabilities: Vec<f64> =
        hits.iter().filter_map(|hit| hit["probability"].as_f64()).collect();
    assert!(probabilities.is_sorted_by(|x, y| x >= y), "ranked by probability");
    let text = succeed(&["gallery", "search", &gallery.gallery, &picture]);
    assert!(text.contains("mixes both by calibrated probability"), "{text}");
    let text = succeed(&["gallery", "info", &gallery.gallery]);
    assert!(text.contains("--rollback"), "{text}");

    // The next upgrade and a compaction have to wait.
    let old = World::get().text("model.safetensors");
    let error = fail(&["upgrade", &gallery.gallery, "--model", &old, "--apply", "keep"], 1);
    assert!(error.contains("--finish"), "{error}");
    assert!(fail(&["gallery", "compact", &gallery.gallery], 1).contains("--rollback"));

    assert_eq!(gallery.upgrade(&["--rollback"])["rolled_back"], true);
    assert_eq!(gallery.ranking("class 1/0.png"), before);
    assert_eq!(gallery.info().get("carried"), None);

    // Again, to the end: the version before is removed, and items can be added.
    gallery.upgrade(&["--model", new, "--apply", "backfill"]);
    gallery.upgrade(&["--finish"]);
    assert!(fail(&["upgrade", &gallery.gallery, "--rollback"], 1).contains("no version before"));
    common::pictures(gallery.photos.as_ref());
    let added = json(&[
        "gallery",
        "add",
        &gallery.gallery,
        &gallery.photos,
        "--replace",
        "--json",
        "--quiet",
    ]);
    assert_eq!(added["replaced"], 48);
    assert_eq!(gallery.info().get("carried"), None, "all vectors were computed again");
    succeed(&["gallery", "compact", &gallery.gallery]);
}

#[test]
fn stored_vectors_are_kept_or_adapted_without_any_picture() {
    let gallery = Upgraded::new();
    let (new, _) = new_model();
    let kept = gallery.upgrade(&["--model", new, "--apply", "keep"]);
    assert_eq!((&kept["computed"], &kept["carried"]), (&0.into(), &48.into()));
    let answer = json(&["gallery", "search", &gallery.gallery, "--id", "class 1/1.jpg", "--json"]);
    let announced = answer["versions"].as_str().unwrap();
    assert!(announced.contains("compatible") && !announced.contains("mixes"), "{announced}");
    assert_eq!(answer["carried"]["origin"], "kept");
    gallery.upgrade(&["--rollback"]);

    // No picture exists any more: the adapter is fitted to other items, which both models embed.
    let elsewhere = World::get().text("photos");
    fs::remove_dir_all(&gallery.photos).unwrap();
    let error = fail(&["upgrade", &gallery.gallery, "--model", new], 2);
    assert!(error.contains("--measure SOURCE"), "{error}");
    let more = ["--model", new, "--measure", &elsewhere];
    let measured = gallery.upgrade(&more);
    assert_eq!(measured["pictures"]["missing"], 48);
    let adapted = gallery.upgrade(&[&more[..], &["--apply", "adapter"]].concat());
    assert_eq!((&adapted["computed"], &adapted["carried"]), (&0.into(), &48.into()));
    assert_eq!(gallery.info()["carried"]["origin"], "adapted");
    // A query of the new model finds its class among adapted vectors of another model.
    let picture = format!("{elsewhere}/class 3/1.jpg");
    let answer = json(&["gallery", "search", &gallery.gallery, &picture, "--json"]);
    assert_eq!(answer["queries"][0]["hits"].as_array().unwrap().len(), 10);
}

/// The backfill is killed again and again, and ends like one that was not.
/// `TERCET_TEST_KILLS=50` kills it oftener.
#[test]
fn a_killed_backfill_ends_like_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let train = |name: &str, seed: &str| {
        let (model, run) = (path(&format!("{name}.safetensors")), path(name));
        let fixed = ["train", "glyphs", "--out", &model, "--run", &run, "--seed", seed];
        succeed(&[&fixed[..], &["--steps", "4", "--quiet", "--width", "4"]].concat());
        model
    };
    let (old, new) = (train("old", "0"), train("new", "1"));
    let (gallery, copy) = (path("gallery"), path("copy"));
    succeed(&["gallery", "create", &gallery, "glyphs", "--model", &old, "--quiet"]);
    succeed(&["gallery", "backup", &gallery, &copy]);
    let upgrade = |gallery: &str| -> Vec<String> {
        let words = ["upgrade", gallery, "--model", &new, "--apply", "backfill", "--quiet"];
        words.map(str::to_owned).into()
    };
    let words = upgrade(&gallery);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let id = first_id();
    let before = ranking(&gallery, &id);
    let staged = Path::new(&gallery).join("upgrade/vectors/vectors-000000.f32");
    let size = || staged.metadata().map_or(0, |file| file.len());
    let kills = std::env::var("TERCET_TEST_KILLS").map_or(5, |kills| kills.parse().unwrap());
    let (mut grown, mut last) = (0, 0);
    for kill in 0..kills {
        let mut child = tercet(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while size() <= last && child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(3));
        }
        std::thread::sleep(Duration::from_millis(kill * 7 % 30));
        child.kill().unwrap();
        child.wait().unwrap();
        grown += u64::from(size() > last);
        last = size();
        let info = json(&["gallery", "info", &gallery, "--verify", "--json"]);
        if info["previous_model"].is_string() {
            break; // it was complete before the kill
        }
        // Whatever happened, searches are those of the old version, and say nothing else.
        assert_eq!(ranking(&gallery, &id), before, "kill {kill}");
    }
    assert!(grown > 0, "no call computed anything: the test has tested little");
    let output = run(&words);
    // It may have been complete already.
    assert!(output.status.success() || stderr(&output).contains("nothing to upgrade"));
    let whole = upgrade(&copy);
    succeed(&whole.iter().map(String::as_str).collect::<Vec<_>>());
    let [one, other] =
        [&gallery, &copy].map(|of| json(&["gallery", "info", of, "--verify", "--json"]));
    for key in ["items", "model", "labels", "previous_model"] {
        assert_eq!(one[key], other[key], "{key}");
    }
    assert!(ranking(&gallery, &id) != before);
    assert_eq!(ranking(&gallery, &id), ranking(&copy, &id));
    succeed(&["upgrade", &gallery, "--rollback"]);
    assert_eq!(ranking(&gallery, &id), before);
}

/// The id of a glyph.
fn first_id() -> String {
    use tercet_train::data::Source;
    let catalogue = "glyphs".parse::<Source>().unwrap().catalogue().unwrap();
    catalogue.items[0].id.clone()
}
