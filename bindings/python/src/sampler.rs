//! P×K batches, drawn by the core from seed and step.

use pyo3::prelude::*;
use tercet::PkSampler as Core;

use crate::errors::OrRaise;
use crate::labels::Classes;

/// The batches of `tercet.PkSampler`.
#[pyclass(frozen, module = "tercet._tercet")]
pub(crate) struct PkBatches {
    sampler: Core,
}

#[pymethods]
impl PkBatches {
    #[new]
    fn new(
        labels: &Bound<'_, PyAny>,
        p: usize,
        k: usize,
        seed: u64,
        cameras: Option<&Bound<'_, PyAny>>,
        categories: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let labels = Classes::read(labels, "labels")?.labels;
        let mut sampler = Core::new(&labels, p, k, seed).or_raise()?;
        if let Some(cameras) = cameras {
            sampler =
                sampler.with_cameras(&Classes::read(cameras, "cameras")?.labels).or_raise()?;
        }
        if let Some(categories) = categories {
            let categories = Classes::read(categories, "categories")?.labels;
            sampler = sampler.with_categories(&categories).or_raise()?;
        }
        Ok(Self { sampler })
    }

    /// The rows of a step's batch, class by class.
    fn batch(&self, step: u64) -> Vec<u32> {
        self.sampler.batch(step)
    }

    /// Steps until every class was visited once.
    #[getter]
    fn steps_per_epoch(&self) -> u64 {
        self.sampler.steps_per_epoch()
    }

    /// Classes left out because they have one item only.
    #[getter]
    fn left_out(&self) -> usize {
        self.sampler.left_out()
    }

    /// Classes with fewer than K items, which repeat items within a batch.
    #[getter]
    fn repeating(&self) -> usize {
        self.sampler.repeating()
    }
}
