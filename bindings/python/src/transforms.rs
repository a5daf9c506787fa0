//! `tercet.Quantiser` and `tercet.Pca`: learnt on one set of vectors, used on any.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, ToPyArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::quantisation::Quantiser as CoreQuantiser;
use tercet::whitening::Pca as CorePca;

use crate::arrays::Vectors;
use crate::errors::OrRaise;
use crate::results::dictionary;
use crate::threads::compute;

/// Embeddings in 8 bits or 1 bit a dimension.
///
/// Parameters
/// ----------
/// embeddings : array, shape (N, D)
///     The vectors whose range is learnt.
/// quantisation : str
///     ``"8-bit"``: 256 levels between the least and the greatest value of each dimension;
///     ``"8-bit-global"``: of all dimensions; ``"1-bit"``: whether a value is at least 0.
#[pyclass(frozen, eq, module = "tercet")]
#[derive(PartialEq)]
pub(crate) struct Quantiser {
    quantiser: CoreQuantiser,
}

#[pymethods]
impl Quantiser {
    #[new]
    #[pyo3(signature = (embeddings, quantisation="8-bit"))]
    fn new(py: Python<'_>, embeddings: &Bound<'_, PyAny>, quantisation: &str) -> PyResult<Self> {
        let quantisation = quantisation.parse().or_raise()?;
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let view = embeddings.view();
        Ok(Self { quantiser: compute(py, |_| CoreQuantiser::fit(quantisation, view))? })
    }

    /// The codes of the rows: uint8, shape (N, bytes).
    fn encode<'py>(
        &self,
        py: Python<'py>,
        embeddings: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<u8>>> {
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let view = embeddings.view();
        Ok(compute(py, |_| self.quantiser.encode(view))?.into_pyarray(py))
    }

    /// The vectors that codes stand for: float32, shape (N, D).
    fn decode<'py>(
        &self,
        py: Python<'py>,
        codes: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let codes = bytes(codes)?;
        let view = codes.as_array();
        Ok(compute(py, |_| self.quantiser.decode(view))?.into_pyarray(py))
    }

    /// The distances between codes: squared Euclidean for 8 bits, differing bits for 1 bit. float32,
    /// shape (Q, G).
    fn distances<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyAny>,
        gallery: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (queries, gallery) = (bytes(queries)?, bytes(gallery)?);
        let (asked, searched) = (queries.as_array(), gallery.as_array());
        Ok(compute(py, |_| self.quantiser.distances(asked, searched))?.into_pyarray(py))
    }

    /// ``"8-bit"``, ``"8-bit-global"`` or ``"1-bit"``.
    #[getter]
    fn quantisation(&self) -> &'static str {
        self.quantiser.quantisation().name()
    }

    /// D, the dimensions of the vectors that it takes.
    #[getter]
    fn dimensions(&self) -> usize {
        self.quantiser.dimensions()
    }

    /// The quantiser as a dictionary.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dictionary(py, &self.quantiser)
    }

    /// The quantiser of such a dictionary.
    #[staticmethod]
    fn from_dict(state: &Bound<'_, PyAny>) -> PyResult<Self> {
        let quantiser = pythonize::depythonize(state)
            .map_err(|error| PyValueError::new_err(format!("no quantiser: {error}")))?;
        Ok(Self { quantiser })
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        Ok((py.get_type::<Self>().getattr("from_dict")?, (self.to_dict(py)?,)))
    }

    fn __repr__(&self) -> String {
        format!("Quantiser('{}', dimensions={})", self.quantisation(), self.dimensions())
    }
}

fn bytes<'py>(codes: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArray2<'py, u8>> {
    let array = codes.cast::<PyArray2<u8>>().map_err(|_| {
        PyTypeError::new_err(
            "codes are no uint8 array of two dimensions: expected what encode returns",
        )
    })?;
    Ok(array.try_readonly()?)
}

/// Principal components: fewer dimensions, or all of the same weight.
///
/// Parameters
/// ----------
/// embeddings : array, shape (N, D)
///     The vectors whose directions are learnt; at least two rows.
/// components : int
///     From 1 to D.
/// whiten : bool
///     Scales every component to variance 1 (Jégou & Chum 2012).
#[pyclass(frozen, eq, module = "tercet")]
#[derive(PartialEq)]
pub(crate) struct Pca {
    pca: CorePca,
}

#[pymethods]
impl Pca {
    #[new]
    #[pyo3(signature = (embeddings, components, *, whiten=false))]
    fn new(
        py: Python<'_>,
        embeddings: &Bound<'_, PyAny>,
        components: usize,
        whiten: bool,
    ) -> PyResult<Self> {
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let view = embeddings.view();
        let pca = compute(py, |_| CorePca::fit(view, components))?;
        Ok(Self { pca: if whiten { pca.whitened() } else { pca } })
    }

    /// The components of each row: float32, shape (M, components).
    fn apply<'py>(
        &self,
        py: Python<'py>,
        embeddings: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let view = embeddings.view();
        Ok(compute(py, |_| self.pca.apply(view))?.into_pyarray(py))
    }

    /// The directions: unit vectors, float64, shape (components, D).
    #[getter]
    fn directions<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        self.pca.directions().to_pyarray(py)
    }

    /// The share of the variance that each component holds: float64, shape (components,).
    #[getter]
    fn explained<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        self.pca.explained().into_pyarray(py)
    }

    /// The principal components as a dictionary.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dictionary(py, &self.pca)
    }

    /// The principal components of such a dictionary.
    #[staticmethod]
    fn from_dict(state: &Bound<'_, PyAny>) -> PyResult<Self> {
        let pca = pythonize::depythonize(state)
            .map_err(|error| PyValueError::new_err(format!("no principal components: {error}")))?;
        Ok(Self { pca })
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        Ok((py.get_type::<Self>().getattr("from_dict")?, (self.to_dict(py)?,)))
    }

    fn __repr__(&self) -> String {
        let (components, dimensions) = (self.pca.components(), self.pca.dimensions());
        let whiten = if self.pca.is_whitening() { ", whiten=True" } else { "" };
        format!("Pca({components} of {dimensions} dimensions{whiten})")
    }
}
