//! The store of `tercet.Gallery`: embeddings with their items, on disk or in a database.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use tercet_gallery::{
    Duplicates, Error, Filter, Hnsw, Item, ReadGallery, Search, Settings, Vectors as Rows,
    WriteGallery, sample,
};
use tercet_train::decision::{Ask, Decision, Evidence, SAMPLE, Sample};
use tercet_train::model::ModelCard;

use super::model::Model;
use crate::arrays::Vectors;
use crate::errors::OrRaise;
use crate::parts::metric;
use crate::results::dictionary;
use crate::threads::compute;

/// The fingerprint of vectors of which nobody has said what made them, as the command line writes it.
const UNKNOWN_MODEL: &str = "unknown";

/// The store of a gallery.
#[pyclass(frozen, module = "tercet._tercet")]
pub(crate) struct GalleryStore {
    location: String,
    reader: Box<dyn ReadGallery>,
    /// The card of the model that the gallery keeps.
    card: Option<ModelCard>,
    /// One writer at a time, also within this process.
    writing: Mutex<()>,
}

impl GalleryStore {
    fn at(location: String) -> Result<Self, Error> {
        let reader = tercet_gallery::reader(&location)?;
        Ok(Self { location, reader, card: None, writing: Mutex::new(()) })
    }

    /// Opens a writer, changes the gallery, and lets the reader see it.
    fn write<T>(
        &self,
        change: impl FnOnce(&mut dyn WriteGallery) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = tercet_gallery::writer(&self.location)?;
        let changed = change(&mut *writer)?;
        drop(writer);
        self.reader.refresh()?;
        Ok(changed)
    }

    fn decide(&self, ask: Ask) -> Result<Decision, Error> {
        let info = self.reader.info()?;
        let (items, vectors) = sample::with_vectors(&*self.reader, info.items, SAMPLE)?;
        let labels = items.into_iter().map(|item| item.label).collect();
        let sample = Sample { vectors, labels };
        let metric = self.reader.settings().metric;
        let evidence = Evidence::new(self.card.as_ref(), metric, Some(&sample))?;
        Ok(evidence.decide(info.size(), ask))
    }
}

#[pymethods]
impl GalleryStore {
    /// Makes an empty gallery.
    #[staticmethod]
    #[pyo3(signature = (location, *, model, dimensions, distance, normalize, fingerprint, quantize))]
    #[allow(clippy::too_many_arguments)] // called by the Python class only
    fn create(
        py: Python<'_>,
        location: String,
        model: Option<&Bound<'_, Model>>,
        dimensions: Option<usize>,
        distance: &str,
        normalize: bool,
        fingerprint: Option<String>,
        quantize: Option<&str>,
    ) -> PyResult<Self> {
        let quantization = quantize.map(str::parse).transpose().or_raise()?;
        let mut card = None;
        let settings = match (model, dimensions) {
            (Some(model), None) => {
                let core = model.get().core();
                card = Some(core.card.clone());
                Settings {
                    dimensions: core.card.dimensions(),
                    metric: core.metric(),
                    model: core.fingerprint.clone(),
                    quantization,
                }
            }
            (None, Some(dimensions)) => Settings {
                dimensions,
                metric: metric(distance, normalize)?,
                model: fingerprint.unwrap_or_else(|| UNKNOWN_MODEL.to_owned()),
                quantization,
            },
            _ => {
                return Err(PyValueError::new_err(
                    "model and dimensions: expected one of them, since a model knows its dimensions",
                ));
            }
        };
        let file = model.map(|model| model.get().file());
        let store = compute(py, |_| {
            match file {
                Some(file) => tercet_gallery::create_with_model(&location, settings, file)?,
                None => tercet_gallery::create(&location, settings)?,
            };
            Self::at(location)
        })?;
        Ok(Self { card, ..store })
    }

    /// Opens a gallery.
    #[staticmethod]
    fn open(py: Python<'_>, location: String) -> PyResult<Self> {
        let store = compute(py, |_| Self::at(location))?;
        let kept = compute(py, |_| store.reader.model())?;
        let card = match kept {
            Some(file) => {
                let model =
                    compute(py, |_| Model::of_bytes(file, "the model of the gallery".as_ref()))?;
                let card = model.core().card.clone();
                Some(card)
            }
            None => None,
        };
        Ok(Self { card, ..store })
    }

    /// The content of the file of the model that the gallery keeps, if any.
    fn model<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let file = compute(py, |_| self.reader.model())?;
        Ok(file.map(|file| PyBytes::new(py, &file)))
    }

    /// Adds vectors with their ids, labels and attributes, all or none.
    #[pyo3(signature = (vectors, ids, labels, attributes, *, fingerprint, replace))]
    #[allow(clippy::too_many_arguments)] // called by the Python class only
    fn add<'py>(
        &self,
        py: Python<'py>,
        vectors: &Bound<'py, PyAny>,
        ids: Vec<String>,
        labels: Option<Vec<Option<String>>>,
        attributes: Option<Vec<BTreeMap<String, String>>>,
        fingerprint: Option<String>,
        replace: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let vectors = Vectors::read(vectors, "vectors")?;
        let count = ids.len();
        for (what, given) in [
            ("labels", labels.as_ref().map(Vec::len)),
            ("attributes", attributes.as_ref().map(Vec::len)),
        ] {
            if let Some(given) = given {
                crate::numbers::same_length(("ids", count), (what, given))?;
            }
        }
        let mut items: Vec<Item> = ids.into_iter().map(Item::new).collect();
        for (item, label) in items.iter_mut().zip(labels.into_iter().flatten()) {
            item.label = label;
        }
        for (item, of_item) in items.iter_mut().zip(attributes.into_iter().flatten()) {
            item.attributes = of_item;
        }
        let duplicates = if replace { Duplicates::Replace } else { Duplicates::Refuse };
        let made_by = fingerprint.unwrap_or_else(|| self.reader.settings().model.clone());
        let rows = vectors.view();
        let added = compute(py, |_| {
            self.write(|writer| writer.add(Rows { model: &made_by, rows }, &items, duplicates))
        })?;
        dictionary(py, &added)
    }

    /// Removes items, all or none.
    fn remove(&self, py: Python<'_>, ids: Vec<String>) -> PyResult<()> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        compute(py, |_| self.write(|writer| writer.remove(&ids)))
    }

    /// The nearest items of each vector, and how they are decided.
    #[pyo3(signature = (queries, k, *, labels, attributes, without, exact, fingerprint, threshold, false_matches))]
    #[allow(clippy::too_many_arguments)] // called by the Python class only
    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyAny>,
        k: usize,
        labels: Vec<String>,
        attributes: Vec<(String, String)>,
        without: Vec<String>,
        exact: bool,
        fingerprint: Option<String>,
        threshold: Option<f32>,
        false_matches: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let queries = Vectors::read(queries, "queries")?;
        let mut filter = Filter { labels, without, ..Filter::default() };
        for (name, value) in attributes {
            filter.allow(name, value);
        }
        let search = Search { k, filter, exact };
        let made_by = fingerprint.unwrap_or_else(|| self.reader.settings().model.clone());
        let ask = threshold.map_or(Ask::FalseMatches(false_matches), Ask::Distance);
        let rows = queries.view();
        let (answer, decision) = compute(py, |_| {
            let answer = self.reader.search(Rows { model: &made_by, rows }, &search)?;
            Ok::<_, Error>((answer, self.decide(ask)?))
        })?;
        let result = dictionary(py, &decision)?;
        let found = PyList::empty(py);
        for hits in &answer.hits {
            let of_query = PyList::empty(py);
            for hit in hits {
                let entry = dictionary(py, hit)?;
                entry.set_item("same", decision.same(hit.distance))?;
                entry.set_item("probability", decision.probability(hit.distance))?;
                of_query.append(entry)?;
            }
            found.append(of_query)?;
        }
        result.set_item("hits", found)?;
        result.set_item("method", pythonize::pythonize(py, &answer.method)?)?;
        Ok(result)
    }

    /// An item with its thumbnail, or None.
    fn item<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let item = compute(py, |_| self.reader.item(id))?;
        item.map(|item| dictionary(py, &item)).transpose()
    }

    /// Items from a place on, and where the next ones begin.
    #[pyo3(signature = (from_, limit))]
    fn items<'py>(
        &self,
        py: Python<'py>,
        from_: Option<i64>,
        limit: usize,
    ) -> PyResult<Bound<'py, PyDict>> {
        let page = compute(py, |_| self.reader.items(from_, limit))?;
        dictionary(py, &page)
    }

    /// The vectors of items: float32, shape (N, D).
    fn vectors<'py>(
        &self,
        py: Python<'py>,
        ids: Vec<String>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        Ok(compute(py, |_| self.reader.vectors(&ids))?.into_pyarray(py))
    }

    /// The gallery in numbers.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let info = compute(py, |_| self.reader.info())?;
        dictionary(py, &info)
    }

    /// Sees what other processes have written since; whether there was anything.
    fn refresh(&self, py: Python<'_>) -> PyResult<bool> {
        compute(py, |_| self.reader.refresh())
    }

    /// Builds an HNSW graph over all items and measures it.
    fn build_index<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let index = compute(py, |_| self.write(|writer| writer.build_index(Hnsw::default())))?;
        dictionary(py, &index)
    }

    /// Frees the space of removed items, and overwrites what is left of them.
    fn compact<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let compacted = compute(py, |_| self.write(|writer| writer.compact()))?;
        dictionary(py, &compacted)
    }

    /// Reads everything and compares it with its checksums.
    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let verified = compute(py, |_| self.reader.verify())?;
        dictionary(py, &verified)
    }

    /// Copies the gallery into a new folder.
    fn back_up<'py>(&self, py: Python<'py>, to: PathBuf) -> PyResult<Bound<'py, PyDict>> {
        let copied = compute(py, |_| self.reader.back_up(&to))?;
        dictionary(py, &copied)
    }

    /// Folder or address, without a password.
    #[getter]
    fn location(&self) -> String {
        tercet_gallery::shown(&self.location)
    }
}
