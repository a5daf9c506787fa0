//! `tercet.Memory`: a bank of past embeddings.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::{Labels, Memory as Core};

use crate::arrays::Vectors;
use crate::errors::OrRaise;
use crate::labels::Classes;
use crate::loss::TripletLoss;
use crate::numbers::integers;
use crate::outcome::Outcome;
use crate::threads::compute;

/// Items that the bank numbers itself begin here, so that they never meet those that users number.
const OWN_ITEMS: u64 = 1 << 63;

/// A bank of past embeddings, which serve as further positives and negatives of later batches: the
/// cross-batch memory of Wang et al., CVPR 2020.
///
/// When the bank is full, the oldest entries are replaced. Entries of items that are in the current
/// batch are left out of an evaluation, since the batch holds their fresh embeddings.
///
/// Parameters
/// ----------
/// capacity : int
///     Embeddings that it holds at most.
/// dimensions : int
///     D.
///
/// Examples
/// --------
/// >>> memory = tercet.Memory(4096, 128)
/// >>> for embeddings, labels, items in batches:
/// ...     outcome = memory.evaluate(loss, embeddings, labels, items)
/// ...     memory.push(embeddings, labels, items)
#[pyclass(frozen, module = "tercet")]
pub(crate) struct Memory {
    bank: Mutex<Bank>,
}

struct Bank {
    memory: Core,
    dimensions: usize,
    /// Whether its labels are strings.
    text: Option<bool>,
    /// The next item that the bank numbers itself.
    next: u64,
}

impl Memory {
    fn bank(&self) -> MutexGuard<'_, Bank> {
        self.bank.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bank {
    fn check_type(&self, labels: &Classes) -> PyResult<()> {
        match self.text {
            Some(text) if !labels.labels.is_empty() && text != labels.is_text() => {
                let kind = |text| if text { "strings" } else { "integers" };
                Err(PyTypeError::new_err(format!(
                    "labels are {} and those of the memory {}: expected the same type",
                    kind(labels.is_text()),
                    kind(text)
                )))
            }
            _ => Ok(()),
        }
    }
}

fn read_items(items: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Vec<u64>>> {
    let Some(items) = items else { return Ok(None) };
    let number = |item: i64| {
        u64::try_from(item).map_err(|_| {
            PyValueError::new_err(format!("items hold {item}: expected numbers of at least 0"))
        })
    };
    integers(items, "items")?.into_iter().map(number).collect::<PyResult<Vec<u64>>>().map(Some)
}

/// Labels as they came: integers or strings.
fn as_given<'py>(py: Python<'py>, labels: &Labels, text: bool) -> PyResult<Bound<'py, PyAny>> {
    let names = || labels.classes().iter().map(|&class| labels.name(class));
    if text {
        return Ok(names().collect::<Vec<&str>>().into_pyobject(py)?.into_any());
    }
    let numbers: Option<Vec<i64>> = names().map(|name| name.parse().ok()).collect();
    match numbers {
        Some(numbers) => Ok(numbers.into_pyarray(py).into_any()),
        None => {
            let numbers: Vec<u64> = names().filter_map(|name| name.parse().ok()).collect();
            Ok(numbers.into_pyarray(py).into_any())
        }
    }
}

/// Embeddings, labels and items.
type Entries<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyAny>, Bound<'py, PyArray1<u64>>);

#[pymethods]
impl Memory {
    #[new]
    fn new(capacity: usize, dimensions: usize) -> PyResult<Self> {
        if capacity == 0 || dimensions == 0 {
            return Err(PyValueError::new_err(format!(
                "capacity and dimensions are {capacity} and {dimensions}: expected at least 1"
            )));
        }
        let memory = Core::new(capacity, dimensions);
        Ok(Self { bank: Mutex::new(Bank { memory, dimensions, text: None, next: OWN_ITEMS }) })
    }

    /// Adds a batch; of more than the capacity only the last rows stay.
    ///
    /// Parameters
    /// ----------
    /// embeddings : array, shape (B, D)
    /// labels : array or sequence, shape (B,)
    /// items : array of int, shape (B,), optional
    ///     Numbers that tell items apart, such as rows of the data set. Without them every row is a
    ///     new item.
    #[pyo3(signature = (embeddings, labels, items=None))]
    fn push(
        &self,
        embeddings: &Bound<'_, PyAny>,
        labels: &Bound<'_, PyAny>,
        items: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let labels = Classes::read(labels, "labels")?;
        let given = read_items(items)?;
        let mut bank = self.bank();
        bank.check_type(&labels)?;
        let rows = embeddings.view().nrows() as u64;
        let items = given.unwrap_or_else(|| (bank.next..bank.next + rows).collect());
        bank.memory.push(embeddings.view(), &labels.labels, &items).or_raise()?;
        bank.next += rows;
        if !labels.labels.is_empty() {
            bank.text = Some(labels.is_text());
        }
        Ok(())
    }

    /// Evaluates a loss over a batch with the bank as further candidates; the gradient goes to the
    /// batch alone. The bank stays as it is: push the batch afterwards.
    ///
    /// Returns
    /// -------
    /// Outcome
    #[pyo3(signature = (loss, embeddings, labels, items=None, *, seed=None))]
    fn evaluate(
        &self,
        py: Python<'_>,
        loss: &Bound<'_, TripletLoss>,
        embeddings: &Bound<'_, PyAny>,
        labels: &Bound<'_, PyAny>,
        items: Option<&Bound<'_, PyAny>>,
        seed: Option<u64>,
    ) -> PyResult<Outcome> {
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let labels = Classes::read(labels, "labels")?;
        let view = embeddings.view();
        // Rows without a number are in no bank.
        let new_items = || (0..view.nrows() as u64).map(|row| u64::MAX - row).collect();
        let items = read_items(items)?.unwrap_or_else(new_items);
        let objective = loss.get().seeded(seed);
        let memory = {
            let bank = self.bank();
            bank.check_type(&labels)?;
            bank.memory.clone()
        };
        let outcome = compute(py, |_| memory.evaluate(objective, view, &labels.labels, &items))?;
        Ok(Outcome::new(py, outcome))
    }

    /// Removes all entries, as after a change of the learning rate that makes embeddings jump.
    fn clear(&self) {
        let mut bank = self.bank();
        bank.memory.clear();
        bank.text = None;
    }

    /// Everything in the bank, the oldest first: embeddings (float32, shape (M, D)), labels as they
    /// were pushed, and items (uint64, shape (M,)).
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Entries<'py>> {
        let bank = self.bank();
        let (embeddings, labels, items) = bank.memory.entries();
        let labels = as_given(py, &labels, bank.text.unwrap_or(false))?;
        Ok((embeddings.into_pyarray(py), labels, items.into_pyarray(py)))
    }

    /// Embeddings that it holds at most.
    #[getter]
    fn capacity(&self) -> usize {
        self.bank().memory.capacity()
    }

    /// D.
    #[getter]
    fn dimensions(&self) -> usize {
        self.bank().dimensions
    }

    fn __len__(&self) -> usize {
        self.bank().memory.len()
    }

    /// Capacity, dimensions and entries, for a checkpoint.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (embeddings, labels, items) = self.entries(py)?;
        let state = PyDict::new(py);
        state.set_item("capacity", self.capacity())?;
        state.set_item("dimensions", self.dimensions())?;
        state.set_item("embeddings", embeddings)?;
        state.set_item("labels", labels)?;
        state.set_item("items", items)?;
        state.set_item("next", self.bank().next)?;
        Ok(state)
    }

    /// Replaces everything by what :meth:`state_dict` returned.
    ///
    /// Raises ValueError if capacity or dimensions differ.
    fn load_state_dict(&self, state: &Bound<'_, PyDict>) -> PyResult<()> {
        let entry = |key: &str| {
            state.get_item(key)?.ok_or_else(|| {
                PyValueError::new_err(format!(
                    "the state has no `{key}`: expected that of a Memory"
                ))
            })
        };
        let given: (usize, usize) =
            (entry("capacity")?.extract()?, entry("dimensions")?.extract()?);
        let own = (self.capacity(), self.dimensions());
        if given != own {
            return Err(PyValueError::new_err(format!(
                "the state has capacity and dimensions {} and {}: expected {} and {}",
                given.0, given.1, own.0, own.1
            )));
        }
        let embeddings = Vectors::read(&entry("embeddings")?, "embeddings")?;
        let labels = Classes::read(&entry("labels")?, "labels")?;
        let items: Vec<u64> = entry("items")?.extract()?;
        let mut memory = Core::new(own.0, own.1);
        memory.push(embeddings.view(), &labels.labels, &items).or_raise()?;
        let text = (!labels.labels.is_empty()).then(|| labels.is_text());
        *self.bank() = Bank { memory, dimensions: own.1, text, next: entry("next")?.extract()? };
        Ok(())
    }

    fn __getnewargs__(&self) -> (usize, usize) {
        (self.capacity(), self.dimensions())
    }

    fn __getstate__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.state_dict(py)
    }

    fn __setstate__(&self, state: &Bound<'_, PyDict>) -> PyResult<()> {
        self.load_state_dict(state)
    }

    fn __repr__(&self) -> String {
        let (capacity, dimensions) = self.__getnewargs__();
        format!(
            "Memory(capacity={capacity}, dimensions={dimensions}) with {} entries",
            self.__len__()
        )
    }
}
