//! `tercet.OneShot` and `tercet.Episodes`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::OneShot;
use tercet::one_shot::{EpisodeOptions, Episodes, Run};

use crate::arrays::Vectors;
use crate::errors::OrRaise;
use crate::labels::Classes;
use crate::numbers::{rows, same_length};
use crate::parts::metric;
use crate::results::dictionary;
use crate::threads::compute;

/// Rows and classes of the training items and of the test items of one run.
type GivenRun<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The error of given runs.
#[pyfunction]
#[pyo3(signature = (embeddings, runs, *, distance, normalize))]
pub(crate) fn one_shot<'py>(
    py: Python<'py>,
    embeddings: &Bound<'py, PyAny>,
    runs: Vec<GivenRun<'py>>,
    distance: &str,
    normalize: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let metric = metric(distance, normalize)?;
    let embeddings = Vectors::read(embeddings, "embeddings")?;
    let runs: Vec<Run> = runs.iter().map(read_run).collect::<PyResult<_>>()?;
    let view = embeddings.view();
    let judged = compute(py, |_| OneShot::judge(view, &runs, metric))?;
    dictionary(py, &judged)
}

fn read_run((training, training_classes, test, test_classes): &GivenRun<'_>) -> PyResult<Run> {
    let (training, test) = (rows(training, "training rows")?, rows(test, "test rows")?);
    let training_classes = Classes::read(training_classes, "training classes")?;
    let test_classes = Classes::read(test_classes, "test classes")?;
    training_classes.check_type(&test_classes, "training classes", "test classes")?;
    let (known, asked) = (training_classes.labels, test_classes.labels);
    same_length(("training rows", training.len()), ("training classes", known.len()))?;
    same_length(("test rows", test.len()), ("test classes", asked.len()))?;
    let all = known.chain(&asked);
    let (known, asked) = all.classes().split_at(known.len());
    Ok(Run {
        training: training.into_iter().zip(known.iter().copied()).collect(),
        test: test.into_iter().zip(asked.iter().copied()).collect(),
    })
}

/// The accuracy of N-way K-shot tasks.
#[pyfunction]
#[pyo3(signature = (embeddings, labels, *, distance, normalize, episodes, ways, shots, queries, prototype, seed))]
#[allow(clippy::too_many_arguments)] // called by the Python class only
pub(crate) fn episodes<'py>(
    py: Python<'py>,
    embeddings: &Bound<'py, PyAny>,
    labels: &Bound<'py, PyAny>,
    distance: &str,
    normalize: bool,
    episodes: usize,
    ways: usize,
    shots: usize,
    queries: usize,
    prototype: &str,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let metric = metric(distance, normalize)?;
    let prototype = prototype.parse().or_raise()?;
    let options = EpisodeOptions { episodes, ways, shots, queries, prototype, seed };
    let embeddings = Vectors::read(embeddings, "embeddings")?;
    let labels = Classes::read(labels, "labels")?.labels;
    let view = embeddings.view();
    let judged = compute(py, |_| Episodes::judge(view, &labels, metric, &options))?;
    dictionary(py, &judged)
}
