//! Many pictures at once.

use std::sync::Barrier;

use serde_json::json;

use crate::world::{World, glyphs, one};

#[test]
fn pictures_that_come_together_are_embedded_together_and_get_their_own_vectors() {
    use tercet_gallery::ReadGallery;
    const CLIENTS: usize = 24;
    let world = World::shared(|_| {});
    let reader = tercet_gallery::Reader::open(glyphs()).unwrap();
    let items = reader.items(None, CLIENTS * 40).unwrap().items;
    let ids: Vec<&str> = items.iter().step_by(40).map(|item| &item.id[..]).collect();
    let start = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for &id in &ids {
            let (world, start) = (&world, &start);
            let picture = reader.item(id).unwrap().unwrap().thumbnail.unwrap().bytes;
            scope.spawn(move || {
                start.wait();
                for _ in 0..4 {
                    let request = world.post("/api/search?k=1").body("image/png", picture.clone());
                    let found = request.send().json();
                    assert_eq!(found["hits"][0]["id"], json!(id), "{found}");
                }
            });
        }
    });
    let text = String::from_utf8(world.get("/metrics").send().body).unwrap();
    let figure = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let (passes, pictures) =
        (figure("tercet_embedded_together_count"), figure("tercet_embedded_together_sum"));
    assert_eq!(pictures, 4.0 * CLIENTS as f64);
    assert!(passes < pictures, "{passes} forward passes for {pictures} pictures");
}

#[test]
fn the_embedded_model_knows_what_it_shows() {
    // Every tenth item finds its class first, mostly: the classes were never trained on.
    use tercet_gallery::{ReadGallery, Search, Vectors};
    let reader = tercet_gallery::Reader::open(glyphs()).unwrap();
    let items = reader.items(None, 2100).unwrap().items;
    let mut right = 0;
    let some: Vec<_> = items.iter().step_by(10).collect();
    for item in &some {
        let rows = reader.vectors(&[&item.id]).unwrap();
        let mut search = Search::nearest(1);
        search.filter.without = vec![item.id.clone()];
        let model = &reader.settings().model;
        let answer = reader.search(Vectors { model, rows: rows.view() }, &search).unwrap();
        right += usize::from(answer.hits[0][0].item.label == item.label);
    }
    assert!(right as f64 > 0.93 * some.len() as f64, "{right} of {}", some.len());
    assert!(!one().1.is_empty());
}
