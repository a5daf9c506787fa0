//! The reader of a gallery in a folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use tercet::Metric;
use tercet::scan::Found;

use super::backup;
use super::catalogue::{Catalogue, LARGE, Stamp};
use super::combine::Combiner;
use super::model;
use super::newest::newest;
use super::segment;
use super::settle::{Settled, settle};
use super::snapshot::Snapshot;
use super::verify;
use crate::error::AtPath;
use crate::item::at_least_one;
use crate::{
    Answer, BackedUp, Error, Hit, Info, Item, Method, Origin, Page, ReadGallery, Search, Settings,
    Vectors, Verified,
};

/// Reads a gallery in a folder, from any number of threads and processes.
///
/// A reader sees the state of the gallery at the time when it was opened or last
/// [refreshed](Reader::refresh), whatever a writer changes afterwards. Opening reads every vector
/// once: it compares the checksums and leaves the data in memory, ready to be searched. Searches
/// that arrive at the same time share one scan of the vectors.
pub struct Reader {
    folder: PathBuf,
    settings: Settings,
    view: RwLock<Arc<View>>,
    /// Locked while the reader is refreshed.
    refreshing: Mutex<()>,
}

/// A snapshot and the queries that wait for an answer from it.
struct View {
    snapshot: Snapshot,
    combiner: Combiner<Question, Result<Found_, Arc<Error>>>,
    /// Whether this view no longer prevents the log from being emptied.
    is_settled: AtomicBool,
}

impl View {
    fn new(snapshot: Snapshot) -> Arc<Self> {
        let is_settled = snapshot.read_only.is_some().into();
        Arc::new(Self { snapshot, combiner: Combiner::default(), is_settled })
    }
}

type Found_ = (Vec<Vec<Found>>, Method);

struct Question {
    queries: Array2<f32>,
    search: Search,
}

impl Reader {
    /// Opens a gallery for reading.
    ///
    /// # Errors
    /// There is no gallery; a newer format; a file that is missing, too short or different from
    /// what was written.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let snapshot = newest(folder, None)?;
        let settings = snapshot.head.settings.clone();
        let view = RwLock::new(View::new(snapshot));
        Ok(Self { folder: folder.to_owned(), settings, view, refreshing: Mutex::new(()) })
    }

    /// Releases the log that this reader's view still needs, so that it can be emptied: at once if
    /// the log has grown large, otherwise as soon as a refresh finds no change.
    fn settle(&self, changed: bool) -> Result<(), Error> {
        let view = self.view();
        let log = view.snapshot.catalogue().log_bytes();
        if view.is_settled.load(Relaxed) || log == 0 || changed && log < LARGE {
            return Ok(());
        }
        let settled = settle(&self.folder, &view.snapshot)? == Settled::Yes;
        view.is_settled.store(settled, Relaxed);
        Ok(())
    }

    fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl View {
    /// Answers all queries of the same kind by one scan.
    fn answer(&self, questions: &[&Question]) -> Vec<Result<Found_, Arc<Error>>> {
        let mut answers: Vec<Option<Result<Found_, Arc<Error>>>> =
            questions.iter().map(|_| None).collect();
        for first in 0..questions.len() {
            if answers[first].is_some() {
                continue;
            }
            let search = &questions[first].search;
            let alike: Vec<usize> =
                (first..questions.len()).filter(|&of| questions[of].search == *search).collect();
            let rows: Vec<ArrayView2<f32>> =
                alike.iter().map(|&of| questions[of].queries.view()).collect();
            // All queries have the gallery's dimensions.
            let rows = concatenate(Axis(0), &rows).unwrap_or_default();
            match self.snapshot.nearest(rows.view(), search) {
                Ok((found, method)) => {
                    let mut found = found.into_iter();
                    for of in alike {
                        let own = found.by_ref().take(questions[of].queries.nrows()).collect();
                        answers[of] = Some(Ok((own, method)));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    alike.iter().for_each(|&of| answers[of] = Some(Err(error.clone())));
                }
            }
        }
        answers.into_iter().flatten().collect()
    }
}

/// A row that a search has found.
struct Ranked {
    part: usize,
    row: usize,
    /// Its distance, or the comparable one if its vector was carried over from an older model.
    distance: f32,
    origin: Option<Origin>,
}

/// The `k` nearest rows by comparable distance.
fn ranked(found: Vec<Found>, snapshot: &Snapshot, metric: Metric, k: usize) -> Vec<Ranked> {
    let mut rows: Vec<Ranked> = found
        .into_iter()
        .map(|found| {
            let (part, row) = (found.block as usize, found.row as usize);
            let distance = metric.from_squared(found.distance);
            match &snapshot.carried {
                Some(carried) if carried.contains(part, row) => {
                    let by = &carried.items.by;
                    let (distance, origin) = (by.comparable(distance), Some(by.origin));
                    Ranked { part, row, distance, origin }
                }
                _ => Ranked { part, row, distance, origin: None },
            }
        })
        .collect();
    if snapshot.carried.is_some() {
        // The sort is stable: of equal distances, that of the gallery's model comes first.
        rows.sort_by(|x, y| x.distance.total_cmp(&y.distance));
        rows.truncate(k);
    }
    rows
}

impl ReadGallery for Reader {
    fn info(&self) -> Result<Info, Error> {
        let view = self.view();
        let snapshot = &view.snapshot;
        let catalogue = snapshot.catalogue();
        let dimensions = self.settings.dimensions;
        let extents = snapshot.parts.iter().map(|part| part.segment.extent);
        let mut bytes: u64 = extents.map(|extent| segment::length(dimensions, extent.rows)).sum();
        let log_bytes = catalogue.log_bytes();
        bytes += catalogue.path().metadata().at(catalogue.path())?.len() + log_bytes;
        if let Some(graph) = &snapshot.graph {
            // A newer writer may have replaced the file.
            bytes += self.folder.join(&graph.file).metadata().map_or(0, |file| file.len());
        }
        let model_file = catalogue.model_file()?;
        bytes += model_file.as_ref().map_or(0, |file| file.bytes);
        let previous = catalogue.previous()?;
        if let Some(previous) = &previous {
            let extents = previous.segments.iter();
            bytes += extents
                .map(|extent| segment::length(previous.dimensions, extent.rows))
                .chain(previous.model_file.iter().map(|file| file.bytes))
                .sum::<u64>();
        }
        let items = snapshot.head.items as u64;
        Ok(Info {
            location: self.folder.display().to_string(),
            settings: self.settings.clone(),
            has_model: model_file.is_some(),
            items,
            removed: snapshot.rows() as u64 - items,
            labels: catalogue.labels()?.into_iter().collect(),
            bytes,
            log_bytes,
            id: snapshot.state.id.clone(),
            version: snapshot.state.version(),
            generation: snapshot.head.generation,
            carried: snapshot.carried.as_ref().map(|carried| carried.items.clone()),
            previous_model: previous.map(|previous| previous.model),
            index: snapshot.graph.as_ref().map(|graph| graph.index.clone()),
            codes: snapshot.codes.as_ref().map(|codes| codes.recall.clone()),
        })
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn refresh(&self) -> Result<bool, Error> {
        let _turn = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.view();
        if before.snapshot.read_only.is_some_and(|stamp| stamp == Stamp::of(&self.folder)) {
            return Ok(false);
        }
        let changed = Catalogue::open(&self.folder, false)?.state()? != before.snapshot.state;
        if changed {
            let snapshot = newest(&self.folder, Some(&before.snapshot))?;
            if snapshot.head.settings != self.settings {
                return Err(Error::Replaced { location: self.folder.display().to_string() });
            }
            *self.view.write().unwrap_or_else(PoisonError::into_inner) = View::new(snapshot);
        }
        // The old view needs the log in the same way as the new one.
        drop(before);
        // The new view is valid even if this fails; the next refresh tries again.
        let _ = self.settle(changed);
        Ok(changed)
    }

    fn search(&self, queries: Vectors, search: &Search) -> Result<Answer, Error> {
        let queries = self.settings.accept(queries)?;
        at_least_one(search.k)?;
        let view = self.view();
        let question = Question { queries, search: search.clone() };
        let (found, method) = view
            .combiner
            .ask(question, |questions| view.answer(questions))
            .ok_or(Error::Missing {
                what: "an answer",
                needs: "a search that was not interrupted",
            })?
            .map_err(|error| Arc::try_unwrap(error).unwrap_or_else(Error::Shared))?;
        let parts = &view.snapshot.parts;
        let catalogue = view.snapshot.catalogue();
        let carried = view.snapshot.carried.as_ref().map(|carried| carried.items.clone());
        let hits = found.into_iter().map(|found| {
            ranked(found, &view.snapshot, self.settings.metric, search.k)
                .into_iter()
                .map(|Ranked { part, row, distance, origin }| {
                    let item = catalogue.item(parts[part].live.keys[row])?;
                    Ok(Hit { item, distance, origin })
                })
                .collect()
        });
        Ok(Answer { hits: hits.collect::<Result<_, Error>>()?, method, carried })
    }

    fn item(&self, id: &str) -> Result<Option<Item>, Error> {
        let view = self.view();
        let catalogue = view.snapshot.catalogue();
        let Some((key, _)) = catalogue.find(id)? else { return Ok(None) };
        Ok(Some(Item { thumbnail: catalogue.thumbnail(key)?, ..catalogue.item(key)? }))
    }

    fn items(&self, from: Option<i64>, limit: usize) -> Result<Page, Error> {
        let view = self.view();
        let catalogue = view.snapshot.catalogue();
        let mut keys = catalogue.keys(from.unwrap_or(0), limit.saturating_add(1))?;
        let next = (keys.len() > limit).then(|| keys.pop()).flatten();
        let items = keys.into_iter().map(|key| catalogue.item(key));
        Ok(Page { items: items.collect::<Result<_, Error>>()?, next })
    }

    fn vectors(&self, ids: &[&str]) -> Result<Array2<f32>, Error> {
        let view = self.view();
        let catalogue = view.snapshot.catalogue();
        let mut vectors = Array2::zeros((ids.len(), self.settings.dimensions));
        for (mut out, &id) in vectors.outer_iter_mut().zip(ids) {
            let place = catalogue.find(id)?.and_then(|(_, place)| view.snapshot.row_at(place));
            let Some((part, row)) = place else {
                return Err(Error::UnknownId { id: id.into() });
            };
            let row = view.snapshot.parts[part].segment.row(row);
            out.iter_mut().zip(row).for_each(|(out, &x)| *out = x);
        }
        Ok(vectors)
    }

    fn model(&self) -> Result<Option<Vec<u8>>, Error> {
        let expected = self.view().snapshot.catalogue().model_file()?;
        expected.map(|expected| model::read(&self.folder, &expected)).transpose()
    }

    fn sources(&self) -> Result<Vec<String>, Error> {
        self.view().snapshot.catalogue().sources()
    }

    fn verify(&self) -> Result<Verified, Error> {
        verify::verify(&self.folder)
    }

    fn back_up(&self, to: &Path) -> Result<BackedUp, Error> {
        backup::back_up(&self.folder, to)
    }
}
