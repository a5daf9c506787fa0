//! The gallery as points of a plane.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use ndarray::{Array2, ArrayView2};
use serde::Serialize;
use tercet::projection::Projection;
use tercet_gallery::{Error, Info, Item, ReadGallery};
use utoipa::ToSchema;

use crate::gallery::Gallery;
use crate::sample;

/// The most items on a map: beyond, it takes long and is too full to read.
pub(crate) const MAP_ITEMS: usize = 5000;

/// Items read at once.
const CHUNK: usize = 500;

/// Items with a place each.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Map {
    /// The gallery's count of changes that this map belongs to.
    generation: i64,
    /// `t-sne`, or `pca` where there are too few items for it and in a build without it.
    method: &'static str,
    /// Items in the gallery; more than on the map where that is a sample.
    items: u64,
    ids: Vec<String>,
    /// Names of the classes that `class` counts in.
    classes: Vec<String>,
    /// The class of each item; null without one.
    class: Vec<Option<u32>>,
    x: Vec<f32>,
    y: Vec<f32>,
}

/// A map that is made when it is first asked for, and again after the gallery has changed.
#[derive(Debug, Default)]
pub(crate) struct Cartographer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    Drawing,
    Drawn {
        /// Of the gallery, as [`Info::version`].
        version: String,
        map: Result<Bytes, String>,
    },
}

/// What there is to show.
#[derive(Debug)]
pub(crate) enum Shown {
    /// As JSON.
    Map {
        /// Of the gallery: differs after every change, and from other galleries'.
        version: String,
        json: Bytes,
    },
    /// Ask again.
    Drawing,
    Failed(String),
}

impl Cartographer {
    /// The map of the gallery as it is now, or the promise of one.
    pub(crate) fn show(self: &Arc<Self>, gallery: &Gallery) -> Shown {
        let info = gallery.info();
        let mut state = self.state();
        match &*state {
            State::Drawing => return Shown::Drawing,
            State::Drawn { version, map } if *version == info.version => {
                return match map {
                    Ok(json) => Shown::Map { version: version.clone(), json: json.clone() },
                    Err(error) => Shown::Failed(error.clone()),
                };
            }
            _ => {}
        }
        *state = State::Drawing;
        drop(state);
        let (own, reader) = (self.clone(), gallery.reader());
        std::thread::spawn(move || {
            // Whatever happens, nobody waits for ever.
            let mut end = End { own: &own, state: State::Nothing };
            let map = draw(&*reader, &info)
                .and_then(|map| Ok(serde_json::to_vec(&map)?.into()))
                .map_err(|error| error.to_string());
            end.state = State::Drawn { version: info.version.clone(), map };
        });
        Shown::Drawing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct End<'a> {
    own: &'a Cartographer,
    state: State,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        *self.own.state() = std::mem::take(&mut self.state);
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn draw(reader: &dyn ReadGallery, info: &Info) -> Result<Map, Failure> {
    let items = sample::evenly(reader, info.items, MAP_ITEMS)?;
    let vectors = vectors(reader, &items, info.settings.dimensions)?;
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

fn place(vectors: ArrayView2<f32>, info: &Info) -> Result<(&'static str, Array2<f32>), Failure> {
    let metric = info.settings.metric;
    let method = match vectors.nrows() {
        0 | 1 => return Ok(("pca", Array2::zeros((vectors.nrows(), 2)))),
        2..=9 => Projection::Pca,
        _ => Projection::best(),
    };
    Ok((method.name(), method.map(vectors, metric)?))
}

fn vectors(
    reader: &dyn ReadGallery,
    items: &[Item],
    dimensions: usize,
) -> Result<Array2<f32>, Error> {
    let mut vectors = Array2::zeros((0, dimensions));
    for chunk in items.chunks(CHUNK) {
        let ids: Vec<&str> = chunk.iter().map(|item| &item.id[..]).collect();
        let rows = reader.vectors(&ids)?;
        vectors
            .append(ndarray::Axis(0), rows.view())
            .map_err(|_| Error::Dimensions { expected: dimensions, got: rows.ncols() })?;
    }
    Ok(vectors)
}

/// Four digits are finer than a screen.
fn rounded(x: f32) -> f32 {
    (x * 1e3).round() / 1e3
}
