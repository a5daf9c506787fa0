//! The same gallery on a real PostgreSQL server with pgvector.
//!
//! `TERCET_TEST_POSTGRES` names a server whose user may create schemas and the extension, or
//! `TERCET_TEST_PGSERVER_PYTHON` a Python that can start one (see `tests/postgres_server.py`).
//! With neither these tests are skipped, and say so.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ndarray::{Array2, s};
use tercet::{Distance, Metric, neighbors};
use tercet_gallery::{
    Duplicates, Error, Hnsw, Item, Method, Quantization, ReadGallery, Search, Settings, Thumbnail,
    Vectors, create, reader, writer,
};

use crate::world::{fill, items, of, settings, vectors};

/// A server for one test at a time, and its address.
struct Server {
    address: String,
    started: Option<(Child, tempfile::TempDir)>,
    _turn: MutexGuard<'static, ()>,
}

impl Server {
    fn start() -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(address) = env::var("TERCET_TEST_POSTGRES") {
            return Some(Self { address, started: None, _turn: turn });
        }
        let Ok(python) = env::var("TERCET_TEST_PGSERVER_PYTHON") else {
            eprintln!(
                "SKIPPED: no PostgreSQL server to test with; set TERCET_TEST_POSTGRES or \
                 TERCET_TEST_PGSERVER_PYTHON"
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(folder.path().join("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("postgres"), "the server did not start: {address:?}");
        let address = address.trim().to_owned();
        Some(Self { address, started: Some((child, folder)), _turn: turn })
    }

    /// The address of an empty schema, where a gallery of its own can lie.
    fn schema(&self, name: &str) -> String {
        let mut client = postgres::Client::connect(&self.address, postgres::NoTls).unwrap();
        client
            .batch_execute(&format!(
                "CREATE EXTENSION IF NOT EXISTS vector; \
                 DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}"
            ))
            .unwrap();
        let join = if self.address.contains('?') { '&' } else { '?' };
        format!("{}{join}options=-csearch_path%3D{name},public", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.started {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

#[test]
fn a_database_is_a_gallery_like_any_other() {
    let Some(server) = Server::start() else { return };
    let queries = vectors(4, 24, 77);
    for distance in Distance::ALL {
        for normalize in [false, true] {
            let metric = Metric { distance, normalize };
            let address = server.schema("tercet_metrics");
            let mut writer = create(&address, Settings { metric, ..settings(24) }).unwrap();
            let rows = fill(&mut *writer, 0, 300);
            let reader = reader(&address).unwrap();
            let found = reader.search(of(&queries), &Search::nearest(9)).unwrap();
            assert_eq!(found.method, Method::Exact);
            let expected = neighbors::nearest(queries.view(), rows.view(), 9, metric).unwrap();
            for (found, expected) in found.hits.iter().zip(expected) {
                assert_eq!(found.len(), 9);
                for (hit, near) in found.iter().zip(expected) {
                    assert_eq!(hit.item.id, format!("item-{}", near.index), "{metric}");
                    assert!((hit.distance - near.distance).abs() < 1e-4, "{metric}");
                }
            }
        }
    }
}

#[test]
fn items_come_and_go() {
    let Some(server) = Server::start() else { return };
    let address = server.schema("tercet_items_test");
    assert!(matches!(reader(&address), Err(Error::NotAGallery { .. })));
    assert!(matches!(writer(&address), Err(Error::NotAGallery { .. })));
    let mut first = create(&address, settings(6)).unwrap();
    assert!(matches!(writer(&address), Err(Error::Locked { .. })));
    let rows = fill(&mut *first, 0, 30);
    let reader = reader(&address).unwrap();
    drop(first);
    assert!(matches!(create(&address, settings(6)), Err(Error::AlreadyThere { .. })));

    let mut writer = writer(&address).unwrap();
    let mut seen = Item::new("é'\"\\ ☃").with("camera", "7").with("day \"1\"", "a\\b");
    seen.thumbnail = Some(Thumbnail { media_type: "image/png".into(), bytes: vec![0, 255, 10] });
    let one = vectors(1, 6, 99);
    writer.add(of(&one), std::slice::from_ref(&seen), Duplicates::Refuse).unwrap();
    assert!(reader.refresh().unwrap() && !reader.refresh().unwrap());
    assert_eq!(reader.item(&seen.id).unwrap().as_ref(), Some(&seen));
    assert_eq!(reader.vectors(&[&seen.id, "item-4"]).unwrap().row(1), rows.row(4));

    let mut page = reader.items(None, 20).unwrap();
    assert_eq!(page.items.len(), 20);
    page = reader.items(page.next, 20).unwrap();
    assert_eq!((page.items.len(), page.next), (11, None));

    // All or nothing.
    let two = vectors(2, 6, 5);
    let both = [Item::new("new"), Item::new("item-3").labelled("other")];
    let refused = writer.add(of(&two), &both, Duplicates::Refuse).unwrap_err();
    assert!(matches!(&refused, Error::DuplicateId { id } if id == "item-3"), "{refused}");
    let done = writer.add(of(&two), &both, Duplicates::Replace).unwrap();
    assert_eq!((done.added, done.replaced), (1, 1));
    assert_eq!(reader.item("item-3").unwrap().unwrap(), both[1]);
    assert!(matches!(writer.remove(&["item-1", "nobody"]), Err(Error::UnknownId { .. })));
    writer.remove(&["item-1", "new"]).unwrap();
    writer.compact().unwrap();
    assert_eq!(reader.verify().unwrap().items, 30);
    let info = reader.info().unwrap();
    assert_eq!((info.items, info.labels["class-4"], info.labels["other"]), (30, 3, 1));

    assert_eq!((reader.model().unwrap(), info.has_model), (None, false));
    for file in [&[0_u8, 255, 10][..], &[7; 100_000]] {
        writer.keep_model(file).unwrap();
        assert_eq!(reader.model().unwrap().as_deref(), Some(file));
    }
    assert!(reader.info().unwrap().has_model);

    let other = Vectors { model: "77aa", rows: one.view() };
    assert!(matches!(reader.search(other, &Search::nearest(1)), Err(Error::Model { .. })));
    assert!(matches!(
        writer.add(other, &items(90, 1), Duplicates::Refuse),
        Err(Error::Model { .. })
    ));
    let long = vectors(1, 7, 1);
    assert!(matches!(
        reader.search(of(&long), &Search::nearest(1)),
        Err(Error::Dimensions { expected: 6, got: 7 })
    ));
    let quantised = Settings { quantization: Some(Quantization::I8), ..settings(6) };
    assert!(matches!(create(&address, quantised), Err(Error::Missing { .. })));

    let mut client = postgres::Client::connect(&address, postgres::NoTls).unwrap();
    client.execute("UPDATE tercet_gallery SET format = 2", &[]).unwrap();
    let error = tercet_gallery::reader(&address).err().unwrap();
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn filters_and_graphs() {
    let Some(server) = Server::start() else { return };
    let address = server.schema("tercet_graph");
    let mut writer = create(&address, settings(16)).unwrap();
    let rows = fill(&mut *writer, 0, 2000);
    let reader = reader(&address).unwrap();
    let queries = vectors(20, 16, 9);
    let mut search = Search::nearest(5);
    search.filter.labels = vec!["class-2".into(), "class-5".into()];
    search.filter.attributes.insert("camera".into(), "1".into());
    search.filter.without = vec!["item-52".into()];
    let passes = |of: usize| matches!(of % 10, 2 | 5) && of % 3 == 1 && of != 52;
    let check = |found: Vec<Vec<tercet_gallery::Hit>>| {
        for (query, hits) in queries.outer_iter().zip(found) {
            let mut expected: Vec<(f32, usize)> = (0..2000)
                .filter(|&of| passes(of))
                .map(|of| ((&rows.row(of) - &query).mapv(|x| x * x).sum(), of))
                .collect();
            expected.sort_by(|x, y| x.0.total_cmp(&y.0));
            let nearest = expected.iter().take(5).map(|(_, of)| format!("item-{of}"));
            assert!(nearest.eq(hits.into_iter().map(|hit| hit.item.id)));
        }
    };
    check(reader.search(of(&queries), &search).unwrap().hits);
    let mut either = Search::nearest(3000);
    either.filter.allow("camera", "1");
    either.filter.allow("camera", "2");
    let found = reader.search(of(&queries), &either).unwrap();
    assert_eq!(found.hits[0].len(), (0..2000).filter(|of| of % 3 != 0).count());
    assert!(found.hits[0].iter().all(|hit| hit.item.attributes["camera"] != "0"));
    let before = reader.info().unwrap();
    assert!(before.id.is_some() && !reader.refresh().unwrap());

    let index = writer.build_index(Hnsw::default()).unwrap();
    assert_eq!((index.rows, index.sample), (2000, 100));
    assert!(index.recall_at_10 > 0.9 && index.recall_at_10 <= 1.0, "{index:?}");
    assert_eq!(reader.info().unwrap().index, Some(index));
    let found = reader.search(of(&queries), &Search::nearest(10)).unwrap();
    assert_eq!(found.method, Method::Hnsw);
    let exact = Search { exact: true, ..Search::nearest(10) };
    let exact = reader.search(of(&queries), &exact).unwrap();
    let pairs = exact.hits.iter().zip(&found.hits);
    let shared = pairs.flat_map(|(exact, found)| exact.iter().filter(|hit| found.contains(hit)));
    assert!(shared.count() > 180);
    check(reader.search(of(&queries), &Search { exact: true, ..search }).unwrap().hits);

    // Threads that ask at once have a connection each.
    std::thread::scope(|scope| {
        for asker in 0..6_usize {
            let (reader, rows): (&dyn ReadGallery, &Array2<f32>) = (&*reader, &rows);
            scope.spawn(move || {
                let own = rows.slice(s![asker..asker + 1, ..]).to_owned();
                let found = reader.search(of(&own), &Search::nearest(1)).unwrap();
                assert_eq!(found.hits[0][0].item.id, format!("item-{asker}"));
            });
        }
    });
}
