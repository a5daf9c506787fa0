//! The two-dimensional map of the gallery, computed in the background.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use ndarray::{Array2, ArrayView2};
use serde::Serialize;
use tercet_gallery::{Error, Info, Item, ReadGallery};
use tercet_projection::Projection;
use utoipa::ToSchema;

use crate::gallery::Gallery;
use crate::log;

/// The most items on a map: with more it takes long and is too crowded to read.
pub(crate) const MAP_ITEMS: usize = 5000;

/// Items that are read at once.
const CHUNK: usize = 500;

/// After a map was computed, the next one starts after a pause as long as the computation, but at
/// most this long.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Items with their positions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Map {
    /// Whether the gallery has changed since, and a newer map is being computed.
    stale: bool,
    /// The generation of the gallery that the map shows.
    generation: i64,
    /// `t-sne`, or `pca` where there are too few items for t-SNE and in a build without it.
    method: &'static str,
    /// Items in the gallery; more than on the map if that shows a sample.
    items: u64,
    ids: Vec<String>,
    /// Names of the classes, to which `class` contains indices.
    classes: Vec<String>,
    /// The class of each item; null for an item without a label.
    class: Vec<Option<u32>>,
    x: Vec<f32>,
    y: Vec<f32>,
}

/// Computes the map after the first request, and again after the gallery has changed. Meanwhile the
/// last map is returned, so that there is an answer while others write.
#[derive(Debug, Default)]
pub(crate) struct Cartographer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    drawing: bool,
    /// The last map that was computed.
    map: Option<Drawn>,
    /// The last version for which no map could be computed, and the reason.
    failure: Option<(Version, Unmappable)>,
    /// The time before which no other map is started: a gallery that changes all the time must not
    /// keep a core busy with maps.
    rested: Option<Instant>,
}

/// The state of a gallery that a map shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// The random id of the gallery, if it has one.
    gallery: Option<String>,
    /// Differs after every change, and from the state of every other gallery.
    pub(crate) state: String,
}

#[derive(Debug)]
struct Drawn {
    version: Version,
    fresh: Bytes,
    stale: Bytes,
}

/// Why there is no map.
#[derive(Debug, Clone)]
pub(crate) enum Unmappable {
    /// No map can be computed from the vectors.
    Vectors(String),
    /// The gallery could not be read; the reason is only for the operator of the server.
    Unreadable(String),
}

/// The answer to a request for the map.
#[derive(Debug)]
pub(crate) enum Shown {
    /// The map as JSON.
    Map {
        version: Version,
        stale: bool,
        json: Bytes,
    },
    /// The map is being computed; the client should ask again.
    Drawing,
    Failed(Unmappable),
}

impl Cartographer {
    /// The map of the gallery in its current state, or the last one before that, or else the
    /// message that one is being computed.
    pub(crate) fn show(self: &Arc<Self>, gallery: &Gallery) -> Shown {
        let info = gallery.info();
        let version = Version::of(&info);
        let mut state = self.state();
        let shown = state.shown(&version);
        let begin = state.begins(&version, Instant::now());
        drop(state);
        if begin {
            self.draw(gallery.reader(), info);
        }
        shown
    }

    fn draw(self: &Arc<Self>, reader: Arc<dyn ReadGallery>, info: Arc<Info>) {
        let own = self.clone();
        std::thread::spawn(move || {
            let began = Instant::now();
            // The guard reports the end also after a panic, so that no client waits forever.
            let mut end = End { own: &own, began, outcome: None };
            let version = Version::of(&info);
            let drawn = draw(&*reader, &info).and_then(|map| drawn(version.clone(), map));
            end.outcome = Some((version, drawn));
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn shown(&self, version: &Version) -> Shown {
        // A map of another gallery that was at this location before does not show this one.
        let map = self.map.as_ref().filter(|map| map.version.gallery == version.gallery);
        match (map, &self.failure) {
            (Some(map), _) => {
                let stale = map.version != *version;
                let json = if stale { &map.stale } else { &map.fresh };
                Shown::Map { version: map.version.clone(), stale, json: json.clone() }
            }
            (None, Some((failed, reason))) if failed == version => Shown::Failed(reason.clone()),
            (None, _) => Shown::Drawing,
        }
    }

    /// Whether a map of this version must be started now; if so, it is marked as running.
    fn begins(&mut self, version: &Version, now: Instant) -> bool {
        let known = self.map.as_ref().is_some_and(|map| map.version == *version)
            || self.failure.as_ref().is_some_and(|(failed, _)| failed == version);
        let rests = self.rested.is_some_and(|rested| now < rested);
        let begins = !known && !rests && !self.drawing;
        self.drawing |= begins;
        begins
    }

    fn end(&mut self, outcome: Option<(Version, Result<Drawn, Unmappable>)>, took: Duration) {
        self.drawing = false;
        self.rested = Some(Instant::now() + took.min(LONGEST_REST));
        match outcome {
            Some((_, Ok(map))) => {
                self.map = Some(map);
                self.failure = None;
            }
            Some((version, Err(reason))) => {
                if let Unmappable::Unreadable(reason) = &reason {
                    log::detail("the map could not be made", reason);
                }
                self.failure = Some((version, reason));
            }
            None => {}
        }
    }
}

impl Version {
    fn of(info: &Info) -> Self {
        Self { gallery: info.id.clone(), state: info.version.clone() }
    }
}

struct End<'a> {
    own: &'a Cartographer,
    began: Instant,
    outcome: Option<(Version, Result<Drawn, Unmappable>)>,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.own.state().end(self.outcome.take(), self.began.elapsed());
    }
}

impl From<Error> for Unmappable {
    fn from(error: Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

fn drawn(version: Version, mut map: Map) -> Result<Drawn, Unmappable> {
    let json = |map: &Map| match serde_json::to_vec(map) {
        Ok(json) => Ok(Bytes::from(json)),
        Err(error) => Err(Unmappable::Unreadable(error.to_string())),
    };
    let fresh = json(&map)?;
    map.stale = true;
    Ok(Drawn { version, fresh, stale: json(&map)? })
}

fn draw(reader: &dyn ReadGallery, info: &Info) -> Result<Map, Unmappable> {
    let mut items = tercet_gallery::sample::evenly(reader, info.items, MAP_ITEMS)?;
    let vectors = vectors(reader, &mut items, info.settings.dimensions)?;
    let (method, places) = place(vectors.view(), info)?;
    let mut classes = Vec::new();
    let mut numbers = HashMap::new();
    let class = items.iter().map(|item| {
        let label = item.label.as_ref()?;
        Some(*numbers.entry(label.clone()).or_insert_with(|| {
            classes.push(label.clone());
            classes.len() as u32 - 1
        }))
    });
    let class = class.collect();
    Ok(Map {
        stale: false,
        generation: info.generation,
        method,
        items: info.items,
        class,
        classes,
        ids: items.into_iter().map(|item| item.id).collect(),
        x: places.column(0).iter().map(|&x| rounded(x)).collect(),
        y: places.column(1).iter().map(|&y| rounded(y)).collect(),
    })
}

fn place(vectors: ArrayView2<f32>, info: &Info) -> Result<(&'static str, Array2<f32>), Unmappable> {
    let metric = info.settings.metric;
    let method = match vectors.nrows() {
        0 | 1 => return Ok(("pca", Array2::zeros((vectors.nrows(), 2)))),
        2..=9 => Projection::Pca,
        _ => Projection::best(),
    };
    let places = method.map(vectors, metric);
    Ok((method.name(), places.map_err(|error| Unmappable::Vectors(error.to_string()))?))
}

/// The vectors of the items, one per row. Items that were removed in the meantime are left out.
fn vectors(
    reader: &dyn ReadGallery,
    items: &mut Vec<Item>,
    dimensions: usize,
) -> Result<Array2<f32>, Error> {
    let mut vectors = Array2::zeros((0, dimensions));
    let mut kept = Vec::with_capacity(items.len());
    for chunk in items.chunks(CHUNK) {
        let mut chunk = chunk.to_vec();
        let rows = loop {
            let ids: Vec<&str> = chunk.iter().map(|item| &item.id[..]).collect();
            match reader.vectors(&ids) {
                Err(Error::UnknownId { id }) => chunk.retain(|item| item.id != id),
                rows => break rows?,
            }
        };
        vectors
            .append(ndarray::Axis(0), rows.view())
            .map_err(|_| Error::Dimensions { expected: dimensions, got: rows.ncols() })?;
        kept.append(&mut chunk);
    }
    *items = kept;
    Ok(vectors)
}

/// Rounds to three decimals, which is finer than the resolution of a screen.
fn rounded(x: f32) -> f32 {
    (x * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(gallery: &str, state: u32) -> Version {
        Version { gallery: Some(gallery.to_owned()), state: format!("{gallery}-{state}") }
    }

    fn map(version: Version) -> Drawn {
        Drawn { version, fresh: Bytes::from_static(b"fresh"), stale: Bytes::from_static(b"stale") }
    }

    #[test]
    fn the_last_map_is_shown_while_the_next_is_made() {
        let mut state = State::default();
        let now = Instant::now();
        let [one, two, three, four] = [1, 2, 3, 4].map(|state| version("a", state));
        assert!(matches!(state.shown(&one), Shown::Drawing));
        assert!(state.begins(&one, now) && !state.begins(&one, now) && !state.begins(&two, now));
        state.end(Some((one.clone(), Ok(map(one.clone())))), Duration::ZERO);
        assert!(matches!(state.shown(&one), Shown::Map { stale: false, .. }));
        let Shown::Map { version: shown, stale: true, json } = state.shown(&three) else {
            panic!("the last map is not shown")
        };
        assert_eq!((shown, &json[..]), (one, &b"stale"[..]));
        // A failure does not hide the last map, and is not tried again before the gallery has
        // changed.
        assert!(state.begins(&three, Instant::now()));
        state.end(Some((three.clone(), Err(Unmappable::Vectors(String::new())))), Duration::ZERO);
        assert!(matches!(state.shown(&three), Shown::Map { stale: true, .. }));
        assert!(!state.begins(&three, Instant::now()) && state.begins(&four, Instant::now()));
        // A panic does not hide it either.
        state.end(None, Duration::from_secs(5));
        assert!(!state.begins(&four, Instant::now()), "a slow map is not made all the time");
        assert!(state.begins(&four, Instant::now() + Duration::from_secs(6)));
        // Another gallery at the same location has no map yet.
        assert!(matches!(state.shown(&version("b", 4)), Shown::Drawing));
    }
}
