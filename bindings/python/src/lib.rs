//! The module `tercet._tercet`: the core on NumPy arrays. The classes that people use are exported by
//! `python/tercet`, which also turns the dictionaries of the evaluation into classes.

mod arrays;
mod calibration;
mod clustering;
mod comparison;
mod errors;
#[cfg(feature = "full")]
mod full;
mod given;
mod labels;
mod loss;
mod memory;
mod numbers;
mod one_shot;
mod open_set;
mod others;
mod outcome;
mod parts;
mod reidentification;
mod results;
mod retrieval;
mod sampler;
mod threads;
mod transforms;
mod vectors;
mod verification;

#[pyo3::pymodule(gil_used = false)]
mod _tercet {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::calibration::Calibration;
    #[pymodule_export]
    use crate::clustering::{agreement, group};
    #[pymodule_export]
    use crate::comparison::{bootstrap, compare};
    #[pymodule_export]
    use crate::loss::TripletLoss;
    #[pymodule_export]
    use crate::memory::Memory;
    #[pymodule_export]
    use crate::one_shot::{episodes, one_shot};
    #[pymodule_export]
    use crate::open_set::OpenSet;
    #[pymodule_export]
    use crate::outcome::{Census, Outcome};
    #[pymodule_export]
    use crate::reidentification::{reidentification, single_shot};
    #[pymodule_export]
    use crate::retrieval::retrieval;
    #[pymodule_export]
    use crate::sampler::PkBatches;
    #[pymodule_export]
    use crate::threads::{get_num_threads, set_num_threads};
    #[pymodule_export]
    use crate::transforms::{Pca, Quantiser};
    #[pymodule_export]
    use crate::vectors::{distances, expand, nearest, project, reranked_distances};
    #[pymodule_export]
    use crate::verification::{balanced_rows, pair_distances, threshold_at_far, verification};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        #[cfg(feature = "full")]
        crate::full::add(module)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
