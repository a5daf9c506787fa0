//! Vectors besides the embeddings: `reference=` and `frozen=`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use tercet::Labels;

use crate::arrays::Vectors;
use crate::labels::Classes;

/// Vectors besides the embeddings, with their labels.
pub(crate) struct Others<'py> {
    pub(crate) vectors: Vectors<'py>,
    pub(crate) labels: Labels,
}

impl<'py> Others<'py> {
    /// Reads a tuple (vectors, labels); `labels` are those of the embeddings.
    pub(crate) fn read(pair: &Bound<'py, PyAny>, labels: &Classes, what: &str) -> PyResult<Self> {
        let pair: (Bound<'py, PyAny>, Bound<'py, PyAny>) = pair.extract().map_err(|_| {
            let got = pair.get_type().name().map_or_else(|_| "?".to_owned(), |n| n.to_string());
            PyTypeError::new_err(format!("{what} is a {got}: expected a tuple (vectors, labels)"))
        })?;
        let vectors = Vectors::read(&pair.0, &format!("{what} vectors"))?;
        let own = Classes::read(&pair.1, &format!("{what} labels"))?;
        labels.check_type(&own, "labels", &format!("{what} labels"))?;
        Ok(Self { vectors, labels: own.labels })
    }
}
