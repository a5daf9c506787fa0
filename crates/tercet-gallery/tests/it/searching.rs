//! What is found, by every metric, filter and method.

use std::thread;

use ndarray::{Array2, s};
use tercet::{Distance, Metric, neighbors};
use tercet_gallery::{
    Method, Quantization, ReadGallery, Reader, Search, Settings, WriteGallery, Writer,
};

use crate::world::{fill, of, settings, vectors};

fn gallery(settings: Settings, rows: usize) -> (tempfile::TempDir, Reader, Array2<f32>) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings).unwrap();
    let rows = fill(&mut writer, 0, rows);
    let reader = Reader::open(folder.path()).unwrap();
    (folder, reader, rows)
}

#[test]
fn every_metric_agrees_with_the_nearest_neighbours_of_the_core() {
    let queries = vectors(5, 24, 77);
    for distance in Distance::ALL {
        for normalize in [false, true] {
            let metric = Metric { distance, normalize };
            let (_folder, reader, rows) = gallery(Settings { metric, ..settings(24) }, 700);
            let found = reader.search(of(&queries), &Search::nearest(9)).unwrap();
            assert_eq!(found.method, Method::Exact);
            let expected = neighbors::nearest(queries.view(), rows.view(), 9, metric).unwrap();
            for (found, expected) in found.hits.iter().zip(expected) {
                assert_eq!(found.len(), 9);
                for (hit, near) in found.iter().zip(expected) {
                    assert_eq!(hit.item.id, format!("item-{}", near.index), "{metric}");
                    assert!((hit.distance - near.distance).abs() < 1e-5, "{metric}");
                }
            }
        }
    }
}

#[test]
fn filters_let_only_some_items_through() {
    let (_folder, reader, rows) = gallery(settings(12), 600);
    let queries = vectors(4, 12, 5);
    let mut search = Search::nearest(600);
    search.filter.labels = vec!["class-2".into(), "class-5".into()];
    search.filter.attributes.insert("camera".into(), "1".into());
    search.filter.without = vec!["item-52".into(), "nobody".into()];
    let found = reader.search(of(&queries), &search).unwrap();
    let passes = |of: usize| matches!(of % 10, 2 | 5) && of % 3 == 1 && of != 52;
    for (query, hits) in queries.outer_iter().zip(&found.hits) {
        let mut expected: Vec<(f32, usize)> = (0..600)
            .filter(|&of| passes(of))
            .map(|of| ((&rows.row(of) - &query).mapv(|x| x * x).sum().sqrt(), of))
            .collect();
        expected.sort_by(|x, y| x.0.total_cmp(&y.0));
        let expected: Vec<String> =
            expected.into_iter().map(|(_, of)| format!("item-{of}")).collect();
        let found: Vec<&str> = hits.iter().map(|hit| &hit.item.id[..]).collect();
        assert_eq!(found, expected);
    }
    // Several values of one name are alternatives; several names must all hold.
    let mut either = Search::nearest(600);
    either.filter.allow("camera", "1");
    either.filter.allow("camera", "2");
    let found = reader.search(of(&queries), &either).unwrap();
    assert!(found.hits.iter().all(|hits| {
        hits.len() == 400 && hits.iter().all(|hit| hit.item.attributes["camera"] != "0")
    }));
    either.filter.allow("day", "monday");
    assert!(reader.search(of(&queries), &either).unwrap().hits.iter().all(Vec::is_empty));
    search.filter.labels = vec!["nothing".into()];
    let found = reader.search(of(&queries), &search).unwrap();
    assert!(found.hits.len() == 4 && found.hits.iter().all(Vec::is_empty));
}

#[test]
fn an_empty_gallery_finds_nothing() {
    for quantization in [None, Some(Quantization::I8), Some(Quantization::B1)] {
        let (_folder, reader, _) = gallery(Settings { quantization, ..settings(3) }, 0);
        let found = reader.search(of(&vectors(2, 3, 1)), &Search::nearest(4)).unwrap();
        assert_eq!(found.hits, [vec![], vec![]]);
        let none = Array2::zeros((0, 3));
        assert!(reader.search(of(&none), &Search::nearest(4)).unwrap().hits.is_empty());
    }
}

#[test]
fn codes_find_most_and_measure_exactly() {
    for (kind, least) in [(Quantization::I8, 0.99), (Quantization::B1, 0.6)] {
        let folder = tempfile::tempdir().unwrap();
        let quantised = Settings { quantization: Some(kind), ..settings(32) };
        let mut writer = Writer::create(folder.path(), quantised).unwrap();
        fill(&mut writer, 0, 40);
        let reader = Reader::open(folder.path()).unwrap();
        // Learned from forty; learns again as the gallery grows.
        fill(&mut writer, 40, 3000);
        writer.remove(&["item-3", "item-900"]).unwrap();
        reader.refresh().unwrap();
        let queries = vectors(20, 32, 3);
        let exact = Search { exact: true, ..Search::nearest(10) };
        let exact = reader.search(of(&queries), &exact).unwrap();
        let found = reader.search(of(&queries), &Search::nearest(10)).unwrap();
        assert_eq!((exact.method, found.method), (Method::Exact, Method::Quantized));
        let pairs = exact.hits.iter().zip(&found.hits);
        let shared =
            pairs.flat_map(|(exact, found)| exact.iter().filter(|hit| found.contains(hit)));
        let recall = shared.count() as f64 / 200.0;
        assert!(recall >= least, "{kind}: {recall}");
    }
}

#[test]
fn questions_that_arrive_together_get_their_own_answers() {
    let (_folder, reader, rows) = gallery(settings(16), 2000);
    thread::scope(|scope| {
        for asker in 0..16_usize {
            let (reader, rows) = (&reader, &rows);
            scope.spawn(move || {
                for round in 0..10 {
                    let own = (asker * 97 + round * 13) % 1990;
                    let query = rows.slice(s![own..own + 1 + asker % 3, ..]).to_owned();
                    let mut search = Search::nearest(1 + asker % 2);
                    if asker % 4 == 3 {
                        search.filter.labels = vec![format!("class-{}", own % 10)];
                    }
                    let found = reader.search(of(&query), &search).unwrap();
                    assert_eq!(found.hits.len(), query.nrows());
                    assert_eq!(found.hits[0][0].item.id, format!("item-{own}"));
                    assert_eq!(found.hits[0][0].distance, 0.0);
                    assert_eq!(found.hits[0].len(), search.k);
                }
            });
        }
    });
}

#[test]
fn segments_fill_up_and_are_searched_together() {
    // Rows of 1 MiB, so that a segment holds 64 of them.
    let dimensions = 1 << 18;
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings(dimensions)).unwrap();
    let rows = fill(&mut writer, 0, 66);
    assert!(folder.path().join("vectors-000001.f32").exists());
    let reader = Reader::open(folder.path()).unwrap();
    let found = reader.search(of(&rows.slice(s![63..66, ..]).to_owned()), &Search::nearest(1));
    let found: Vec<String> =
        found.unwrap().hits.into_iter().map(|mut hits| hits.remove(0).item.id).collect();
    assert_eq!(found, ["item-63", "item-64", "item-65"]);
    writer.remove(&["item-0"]).unwrap();
    assert_eq!(writer.compact().unwrap().rows, 1);
    reader.refresh().unwrap();
    assert_eq!(reader.info().unwrap().removed, 0);
    assert_eq!(reader.vectors(&["item-63"]).unwrap().row(0), rows.row(63));
}

#[cfg(feature = "hnsw")]
mod hnsw {
    use tercet_gallery::{Error, Hnsw};

    use super::*;

    #[test]
    fn a_graph_finds_nearly_all_and_what_came_later() {
        let (folder, reader, _) = gallery(settings(16), 3000);
        let mut writer = Writer::open(folder.path()).unwrap();
        let index = writer.build_index(Hnsw::default()).unwrap();
        assert_eq!((index.rows, index.sample), (3000, 256));
        assert!(index.recall_at_10 > 0.9 && index.recall_at_10 <= 1.0, "{index:?}");
        reader.refresh().unwrap();
        assert_eq!(reader.info().unwrap().index, Some(index));

        let later = fill(&mut writer, 3000, 70);
        writer.remove(&["item-3005", "item-12"]).unwrap();
        reader.refresh().unwrap();
        let query = later.slice(s![..6, ..]).to_owned();
        let found = reader.search(of(&query), &Search::nearest(3)).unwrap();
        assert_eq!(found.method, Method::Hnsw);
        for (own, hits) in found.hits.iter().enumerate() {
            assert_eq!(hits[0].item.id == format!("item-{}", 3000 + own), own != 5);
        }
        let exact = Search { exact: true, ..Search::nearest(10) };
        let queries = vectors(40, 16, 9);
        let exact = reader.search(of(&queries), &exact).unwrap();
        let found = reader.search(of(&queries), &Search::nearest(10)).unwrap();
        let pairs = exact.hits.iter().zip(&found.hits);
        let shared =
            pairs.flat_map(|(exact, found)| exact.iter().filter(|hit| found.contains(hit)));
        assert!(shared.count() > 340);

        // Few pass: they are measured, each.
        let mut few = Search::nearest(3);
        few.filter.labels = vec!["class-3".into()];
        few.filter.attributes.insert("camera".into(), "0".into());
        assert_eq!(reader.search(of(&queries), &few).unwrap().method, Method::Exact);
        few.filter.attributes.clear();
        let found = reader.search(of(&queries), &few).unwrap();
        assert_eq!(found.method, Method::Hnsw);
        let labels = found.hits.iter().flatten().map(|hit| hit.item.label.as_deref());
        assert!(labels.clone().count() == 120 && labels.clone().all(|of| of == Some("class-3")));

        // Compaction moves vectors, so that the graph goes, and with it its file.
        writer.compact().unwrap();
        reader.refresh().unwrap();
        assert_eq!(reader.info().unwrap().index, None);
        let left = std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".hnsw"));
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn every_item_finds_itself_however_many_threads_have_built_the_graph() {
        let (folder, reader, rows) = gallery(settings(32), 6000);
        let mut writer = Writer::open(folder.path()).unwrap();
        let threads = rayon::ThreadPoolBuilder::new().num_threads(32).build().unwrap();
        threads.install(|| writer.build_index(Hnsw::default())).unwrap();
        reader.refresh().unwrap();
        let lost = |rows: &Array2<f32>, from: usize| {
            let found = reader.search(of(rows), &Search::nearest(1)).unwrap();
            assert_eq!(found.method, Method::Hnsw);
            let own = found.hits.iter().enumerate();
            own.filter(|(own, hits)| hits[0].item.id != format!("item-{}", from + own)).count()
        };
        assert_eq!(lost(&rows, 0), 0);
        // Added later, then in a graph over all, then opened from its file.
        let later = fill(&mut writer, 6000, 500);
        reader.refresh().unwrap();
        assert_eq!((lost(&rows, 0), lost(&later, 6000)), (0, 0));
        threads.install(|| writer.build_index(Hnsw::default())).unwrap();
        reader.refresh().unwrap();
        assert_eq!((lost(&rows, 0), lost(&later, 6000)), (0, 0));
        let reader = Reader::open(folder.path()).unwrap();
        let found = reader.search(of(&rows), &Search::nearest(1)).unwrap();
        assert!(found.hits.iter().all(|hits| hits[0].distance == 0.0));
    }

    #[test]
    fn vectors_that_are_the_same_are_all_found() {
        // More than a search keeps: no graph reaches all of them.
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path(), settings(4)).unwrap();
        let rows = Array2::from_elem((300, 4), 0.5);
        writer.add(of(&rows), &crate::world::items(0, 300), Default::default()).unwrap();
        fill(&mut writer, 300, 700);
        writer.build_index(Hnsw::default()).unwrap();
        let reader = Reader::open(folder.path()).unwrap();
        let query = rows.slice(s![..1, ..]).to_owned();
        let found = reader.search(of(&query), &Search::nearest(300)).unwrap();
        assert_eq!(found.method, Method::Hnsw);
        let mut ids: Vec<&str> = found.hits[0].iter().map(|hit| &hit.item.id[..]).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 300);
        assert!(found.hits[0].iter().all(|hit| hit.distance == 0.0));
    }

    #[test]
    fn a_damaged_graph_is_named() {
        let (folder, _, _) = gallery(settings(8), 200);
        let mut writer = Writer::open(folder.path()).unwrap();
        writer.build_index(Hnsw::default()).unwrap();
        writer.build_index(Hnsw { expansion_search: 32, ..Hnsw::default() }).unwrap();
        let path = folder.path().join("index-000004.hnsw");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        match Reader::open(folder.path()).map(|_| ()) {
            Err(Error::Damaged { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{other:?}"),
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Reader::open(folder.path()), Err(Error::Damaged { .. })));
        // A new graph takes its place.
        writer.build_index(Hnsw::default()).unwrap();
        Reader::open(folder.path()).unwrap().verify().unwrap();
    }
}

#[cfg(not(feature = "hnsw"))]
#[test]
fn a_build_without_graphs_says_so() {
    let (folder, _, _) = gallery(settings(2), 3);
    let mut writer = Writer::open(folder.path()).unwrap();
    let error = writer.build_index(Default::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this build has no HNSW index: cargo install --path crates/tercet-cli --features full"
    );
}
