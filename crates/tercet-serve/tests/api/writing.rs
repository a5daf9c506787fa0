//! What changes the gallery.

use serde_json::{Value, json};
use tercet_gallery::{Duplicates, Item, Vectors, WriteGallery, Writer};

use crate::world::{World, escaped, one};

fn items(world: &World) -> Value {
    world.get("/api/gallery").send().json()["items"].clone()
}

#[test]
fn a_picture_is_added_found_shown_and_removed() {
    let world = World::own(|_| {});
    let (_, picture) = one();
    let added = world
        .post("/api/items?id=new%2Fone&label=mine&attribute=camera:7")
        .body("image/png", picture.clone())
        .send();
    assert_eq!(added.status, 201, "{added:?}");
    let expected = json!({
        "id": "new/one", "label": "mine", "attributes": { "camera": "7" }, "replaced": false,
    });
    assert_eq!(added.json(), expected);
    assert_eq!(items(&world), json!(2101));
    let found = world.post("/api/search?k=2&label=mine").body("image/png", picture.clone()).send();
    let hits = found.json()["hits"].clone();
    assert_eq!((hits.as_array().unwrap().len(), &hits[0]["id"]), (1, &json!("new/one")));
    let thumbnail = world.get("/api/items/new%2Fone/thumbnail").send();
    assert_eq!(thumbnail.status, 200);
    assert!(image::load_from_memory(&thumbnail.body).is_ok());

    let again = world.post("/api/items?id=new%2Fone").body("image/png", picture.clone()).send();
    assert!(again.refused(409, "duplicate").contains("replace=true"));
    let target = "/api/items?id=new%2Fone&replace=true";
    assert_eq!(world.post(target).body("image/png", picture).send().json()["replaced"], true);

    let removed = world.delete("/api/items/new%2Fone").send();
    assert_eq!((removed.status, removed.json()), (200, json!({ "removed": "new/one" })));
    assert_eq!(items(&world), json!(2100));
    world.delete("/api/items/new%2Fone").send().refused(404, "no-item");
}

#[test]
fn what_nobody_names_is_named_by_its_content() {
    let world = World::own(|_| {});
    let (_, picture) = one();
    let add = || world.post("/api/items").body("image/png", picture.clone()).send();
    let first = add().json();
    assert!(first["id"].as_str().unwrap().starts_with("added/"), "{first}");
    add().refused(409, "duplicate");
    world.post("/api/items").json(&json!({ "id": "x" })).send().refused(400, "malformed");
    let empty = world.post("/api/items?id=").body("image/png", picture.clone()).send();
    empty.refused(422, "unacceptable");
    let vector = json!({ "vector": vec![0.5; 64] });
    assert_eq!(world.post("/api/items?id=v").json(&vector).send().status, 201);
    world.get("/api/items/v/thumbnail").send().refused(404, "no-thumbnail");
}

#[test]
fn a_change_makes_a_new_map() {
    // Few items, whose map is made quickly.
    let copy = tempfile::tempdir().unwrap();
    let settings = tercet_gallery::Settings {
        dimensions: 64,
        metric: tercet::Metric::default(),
        model: "elsewhere".to_owned(),
        quantization: None,
    };
    let mut writer = Writer::create(copy.path(), settings).unwrap();
    let rows = ndarray::Array2::from_shape_fn((40, 64), |(row, column)| {
        ((row * 31 + column * 17) % 23) as f32
    });
    let all: Vec<Item> = (0..40).map(|item| Item::new(format!("item-{item}"))).collect();
    let vectors = Vectors { model: "elsewhere", rows: rows.view() };
    writer.add(vectors, &all, Duplicates::Refuse).unwrap();
    drop(writer);
    let world = World::serving(copy.path().to_owned(), Some(copy), |_| {});
    let drawn = || loop {
        let answer = world.get("/api/projection").send();
        if answer.status == 200 {
            break answer.json();
        }
        assert_eq!(answer.status, 202);
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let first = world.get("/api/projection").send();
    assert_eq!((first.status, drawn()["items"].clone()), (202, json!(40)));
    world.delete("/api/items/item-7").send();
    // The last map is shown, marked, until the next is there; also while others change it again.
    let stale = world.get("/api/projection").send();
    assert_eq!((stale.status, stale.json()["stale"].clone()), (200, json!(true)));
    let tag = stale.header("etag").unwrap().to_owned();
    let start = std::time::Instant::now();
    for number in 0.. {
        let vector = json!({ "vector": vec![0.5; 64] });
        let target = format!("/api/items?id=v{number}");
        assert_eq!(world.post(&target).json(&vector).send().status, 201);
        let map = world.get("/api/projection").send();
        assert_eq!(map.status, 200, "{map:?}");
        if map.json()["items"].as_u64().unwrap() >= 39 && map.header("etag") != Some(&tag) {
            break;
        }
        assert!(start.elapsed().as_secs() < 120, "no newer map while there are writes");
    }
    while drawn()["stale"] == json!(true) {
        assert!(start.elapsed().as_secs() < 240, "no map of the gallery as it is");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let fresh = world.get("/api/projection").send();
    assert_eq!(drawn()["items"], items(&world));
    let again = world.get("/api/projection");
    let again = again.header("if-none-match", fresh.header("etag").unwrap()).send();
    assert_eq!(again.status, 304);
}

#[test]
fn clients_that_leave_are_in_nobodys_way() {
    let world = World::own(|_| {});
    let vector = json!({ "vector": vec![0.25; 64] });
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for leaver in 0..3 {
            let (world, vector, done) = (&world, &vector, &done);
            scope.spawn(move || {
                for number in 0.. {
                    if done.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    let target = format!("/api/items?id=left-{leaver}-{number}");
                    let body = vector.to_string();
                    let request = world.post(&target).body("application/json", body.clone());
                    let mut stream = std::net::TcpStream::connect(world.address).unwrap();
                    request.start(&mut stream).unwrap();
                    let _ = std::io::Write::write_all(&mut stream, body.as_bytes());
                    std::thread::sleep(std::time::Duration::from_millis(number % 7));
                }
            });
        }
        for number in 0..60 {
            let added = world.post(&format!("/api/items?id=honest-{number}")).json(&vector).send();
            assert_eq!(added.status, 201, "{number}: {added:?}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    for number in 0..60 {
        assert_eq!(world.get(&format!("/api/items/honest-{number}")).send().status, 200);
    }
}

#[test]
fn after_a_408_nothing_was_changed() {
    let world = World::own(|settings| {
        settings.limits.answer = std::time::Duration::from_millis(400);
        settings.limits.writer = std::time::Duration::from_secs(20);
    });
    let vector = json!({ "vector": vec![0.5; 64] });
    let writer = Writer::open(&world.folder).unwrap();
    let late = world.post("/api/items?id=late").json(&vector).send();
    assert!(late.refused(408, "too-slow").contains("nothing was changed"));
    let target = format!("/api/items/{}", escaped(&one().0));
    world.delete(&target).send().refused(408, "too-slow");
    drop(writer);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    world.get("/api/items/late").send().refused(404, "no-item");
    assert_eq!(world.get(&target).send().status, 200);
    assert_eq!(world.post("/api/items?id=late").json(&vector).send().status, 201);
}

#[test]
fn another_writer_is_waited_for() {
    let world = World::own(|_| {});
    let writer = Writer::open(&world.folder).unwrap();
    let done = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(700));
        drop(writer);
    });
    let vector = json!({ "vector": vec![0.5; 64] });
    assert_eq!(world.post("/api/items?id=x").json(&vector).send().status, 201);
    done.join().unwrap();
}

#[test]
fn another_gallery_in_the_same_place_is_noticed() {
    use tercet_gallery::{Duplicates, Item, Settings, Vectors, WriteGallery};
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("gallery"), folder.path().join("other"));
    // As many items and changes each time, so that no number tells the galleries apart.
    let make = |path: &std::path::Path, prefix: &str| {
        let settings = Settings {
            dimensions: 2,
            metric: Default::default(),
            model: "none".to_owned(),
            quantization: None,
        };
        let mut writer = Writer::create(path, settings).unwrap();
        let rows = ndarray::array![[0.0_f32, 1.0], [1.0, 0.0], [1.0, 1.0]];
        let items: Vec<Item> = (0..3).map(|of| Item::new(format!("{prefix}{of}"))).collect();
        let vectors = Vectors { model: "none", rows: rows.view() };
        writer.add(vectors, &items, Duplicates::Refuse).unwrap();
    };
    make(&path, "old-");
    make(&other, "new-");
    let world = World::serving(path.clone(), None, |_| {});
    let mut tag = String::new();
    let mut drawn = || loop {
        let answer = world.get("/api/projection").header("if-none-match", &tag).send();
        match answer.status {
            200 => {
                tag = answer.header("etag").unwrap().to_owned();
                break answer.json();
            }
            status => assert!(matches!(status, 202 | 304), "{status}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    assert_eq!(drawn()["ids"][0], "old-0");
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert_eq!(drawn()["ids"][0], "new-0");
    assert_eq!(world.get("/api/items/old-1").send().status, 404);
    assert_eq!(world.get("/api/items/new-1").send().status, 200);
}

#[test]
fn another_writer_is_respected_and_its_changes_are_seen() {
    let patience = std::time::Duration::from_millis(200);
    let world = World::own(|settings| settings.limits.writer = patience);
    let (id, picture) = one();
    let mut writer = Writer::open(&world.folder).unwrap();
    let refused = world.post("/api/items?id=x").body("image/png", picture.clone()).send();
    assert!(refused.refused(409, "locked").contains("another process"));
    let target = format!("/api/items/{}", escaped(&id));
    world.delete(&target).send().refused(409, "locked");
    writer.remove(&[&id]).unwrap();
    drop(writer);
    let start = std::time::Instant::now();
    while items(&world) != json!(2099) {
        assert!(start.elapsed().as_secs() < 30, "the server does not see what another has written");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(world.post("/api/items?id=x").body("image/png", picture).send().status, 201);
}

#[test]
fn a_gallery_served_read_only_stays_as_it_is() {
    let world = World::own(|settings| settings.read_only = true);
    let (id, picture) = one();
    let add = world.post("/api/items?id=x").body("image/png", picture).send();
    assert!(add.refused(403, "read-only").contains("--read-only"));
    world.delete(&format!("/api/items/{}", escaped(&id))).send().refused(403, "read-only");
    assert_eq!(world.get("/api/gallery").send().json()["writable"], false);
}
