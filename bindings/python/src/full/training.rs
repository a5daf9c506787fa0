//! `tercet.train`: a run of the trainer.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Serialize;
use tercet_train::data::Source;
use tercet_train::trainer::{
    Ended, Event, RunFolder, Surroundings, TrainConfig, TrainError, Trained, train as core_train,
};

use crate::errors::{OrRaise, Raise};
use crate::results::dictionary;
use crate::threads::compute_until_stopped;

/// Why there is no trained model.
enum Unfinished {
    Failed(Box<TrainError>),
    Raised(PyErr),
    Interrupted { step: Option<u64>, run: PathBuf },
}

impl Raise for Unfinished {
    fn raise(self) -> PyErr {
        match self {
            Self::Failed(error) => error.raise(),
            Self::Raised(error) => error,
            Self::Interrupted { step, run } => PyKeyboardInterrupt::new_err(match step {
                Some(step) => format!(
                    "interrupted after step {step}: resume with tercet.train(resume={:?})",
                    run.display().to_string()
                ),
                None => "interrupted before the first step".to_owned(),
            }),
        }
    }
}

/// Trains by these settings, in a run folder. The Python function documents them.
#[pyfunction]
#[pyo3(signature = (settings, *, run, resume, progress))]
pub(crate) fn train<'py>(
    py: Python<'py>,
    settings: &Bound<'py, PyDict>,
    run: Option<PathBuf>,
    resume: Option<PathBuf>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (folder, config) = match resume {
        Some(path) => resumed(&path, settings)?,
        None => begun(settings, run.as_deref())?,
    };
    config.check().map_err(|error| PyValueError::new_err(error.to_string()))?;
    let raised: Mutex<Option<PyErr>> = Mutex::new(None);
    let trained = compute_until_stopped(py, |stop| {
        let watch = |event: Event| tell(&event, progress.as_ref(), stop, &raised);
        let around = Surroundings { watch: &watch, stop, leave: None };
        let ended = core_train(&config, &folder, &around);
        if let Ok(mut raised) = raised.lock()
            && let Some(error) = raised.take()
        {
            return Err(Unfinished::Raised(error));
        }
        match ended.map_err(|error| Unfinished::Failed(Box::new(error)))? {
            Ended::Finished(trained) => Ok::<Box<Trained>, Unfinished>(trained),
            Ended::Interrupted { step } => {
                Err(Unfinished::Interrupted { step, run: folder.path().to_owned() })
            }
        }
    })?;
    dictionary(py, &trained)
}

/// A new run.
fn begun(settings: &Bound<'_, PyDict>, run: Option<&Path>) -> PyResult<(RunFolder, TrainConfig)> {
    let given: toml::Table = pythonize::depythonize(settings)
        .map_err(|error| PyValueError::new_err(format!("settings: {error}")))?;
    let config = tercet_cli::configuration(given).or_raise()?;
    let folder = match run {
        Some(path) => RunFolder::fresh(path).or_raise()?,
        None => {
            let source: Source =
                config.source.parse().map_err(|error| PyValueError::new_err(format!("{error}")))?;
            RunFolder::next(Path::new("runs"), &source.name()).or_raise()?
        }
    };
    Ok((folder, config))
}

/// A run that continues; with more steps it is trained further.
fn resumed(path: &Path, settings: &Bound<'_, PyDict>) -> PyResult<(RunFolder, TrainConfig)> {
    let (mut folder, mut config) = RunFolder::open(path).or_raise()?;
    for (key, value) in settings {
        let key: String = key.extract()?;
        match key.as_str() {
            "steps" => folder.extend(&mut config, value.extract()?),
            "out" => config.out = Some(value.extract()?),
            _ => {
                return Err(PyValueError::new_err(format!(
                    "{key} is fixed for a run that is resumed: expected steps or out"
                )));
            }
        }
    }
    Ok((folder, config))
}

/// What a progress callback is given.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Told<'a> {
    Preparing { done: usize, total: usize },
    Skipped { items: &'a [tercet_train::data::BadItem] },
    Baseline { name: &'a str, map_at_r: f64, recall_at_1: Option<f64> },
    Started { step: u64, parameters: usize },
    Phase { batch: &'a str },
    Step { step: u64 },
    Checkpoint { step: u64 },
    Warning { text: &'a str },
}

fn tell(
    event: &Event,
    progress: Option<&Py<PyAny>>,
    stop: &AtomicBool,
    raised: &Mutex<Option<PyErr>>,
) {
    let Some(progress) = progress else { return };
    let called = Python::attach(|py| {
        let told = match event {
            // A line of metrics names its own kind: step, judged or collapse.
            Event::Logged(line) => {
                let line = dictionary(py, line)?;
                line.set_item("logged", true)?;
                return progress.call1(py, (line,)).map(drop);
            }
            Event::Preparing { done, total } => Told::Preparing { done: *done, total: *total },
            Event::Skipped(items) => Told::Skipped { items },
            Event::Baseline(name, judged) => {
                Told::Baseline { name, map_at_r: judged.map_at_r, recall_at_1: judged.recall_at(1) }
            }
            Event::Started { step, parameters, .. } => {
                Told::Started { step: *step, parameters: *parameters }
            }
            Event::Phase { batch, .. } => Told::Phase { batch },
            Event::Step { step } => Told::Step { step: *step },
            Event::Checkpoint { step } => Told::Checkpoint { step: *step },
            Event::Warning(text) => Told::Warning { text },
        };
        progress.call1(py, (dictionary(py, &told)?,)).map(drop)
    });
    if let Err(error) = called {
        // The run stops after a checkpoint, and the exception is raised then.
        stop.store(true, Ordering::Relaxed);
        if let Ok(mut raised) = raised.lock() {
            raised.get_or_insert(error);
        }
    }
}
