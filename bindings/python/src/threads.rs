//! Computation on a pool of threads, while Python does other things.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tercet::Watch;

use crate::errors::Raise;

/// How often the calling thread looks for signals such as Ctrl-C.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// Threads at most: more is a mistake in a number.
const MOST_THREADS: usize = 4096;

/// Bytes of a thread's stack, as that of a main thread: networks are deep.
const STACK: usize = 8 << 20;

/// The pool of this process.
static POOL: Mutex<Option<Pool>> = Mutex::new(None);

struct Pool {
    threads: Arc<ThreadPool>,
    /// A forked child inherits this value without the threads, and needs a pool of its own.
    process: u32,
}

/// The pool, which is started by its first use with `threads` threads.
fn pool(start: Option<usize>) -> PyResult<Arc<ThreadPool>> {
    let mut slot = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some(pool) = slot.as_ref()
        && pool.process == process
        && start.is_none()
    {
        return Ok(pool.threads.clone());
    }
    let count = match start {
        Some(count) => count,
        None => from_environment()?,
    };
    let threads = ThreadPoolBuilder::new()
        .num_threads(count)
        .stack_size(STACK)
        .thread_name(|thread| format!("tercet-{thread}"))
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("cannot start threads: {error}")))?;
    let threads = Arc::new(threads);
    let old = slot.replace(Pool { threads: threads.clone(), process });
    // The threads of a pool from before a fork do not exist here: nobody could end them.
    if let Some(old) = old.filter(|old| old.process != process) {
        std::mem::forget(old);
    }
    Ok(threads)
}

/// `TERCET_NUM_THREADS`; 0 leaves the choice to rayon (`RAYON_NUM_THREADS`, or every core).
fn from_environment() -> PyResult<usize> {
    let Ok(text) = std::env::var("TERCET_NUM_THREADS") else { return Ok(0) };
    text.trim().parse().ok().filter(|&count| count <= MOST_THREADS).ok_or_else(|| {
        PyValueError::new_err(format!(
            "TERCET_NUM_THREADS is `{text}`: expected a number of threads, or 0 for every core"
        ))
    })
}

/// Sets how many threads compute; 0 takes every core that the process may use.
///
/// The default is the environment variable TERCET_NUM_THREADS, then RAYON_NUM_THREADS, then every
/// core. Idle threads sleep, so that they do not disturb the threads of PyTorch or NumPy, which work
/// before and after. Computations that are under way keep their threads.
///
/// Raises ValueError for a negative number or one above 4096.
#[pyfunction]
pub(crate) fn set_num_threads(n: i64) -> PyResult<()> {
    let count =
        usize::try_from(n).ok().filter(|&count| count <= MOST_THREADS).ok_or_else(|| {
            PyValueError::new_err(format!(
                "n is {n}: expected a number of threads, or 0 for every core"
            ))
        })?;
    pool(Some(count)).map(drop)
}

/// How many threads compute.
#[pyfunction]
pub(crate) fn get_num_threads() -> PyResult<usize> {
    Ok(pool(None)?.current_num_threads())
}

/// Runs `work` on the pool, without the interpreter lock. The calling thread waits for the result
/// and looks for signals meanwhile: an exception from a signal handler (`KeyboardInterrupt`) stops
/// work that uses the given watch, and is raised.
pub(crate) fn compute<T: Send, E: Raise + Send>(
    py: Python<'_>,
    work: impl FnOnce(Watch) -> Result<T, E> + Send,
) -> PyResult<T> {
    compute_until_stopped(py, |stop| {
        work(&|_, _| match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })
}

/// As [`compute`], for work of a few milliseconds at most: signals are looked at by the interpreter
/// afterwards, which saves some microseconds.
pub(crate) fn compute_briefly<T: Send, E: Raise + Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> PyResult<T> {
    let pool = pool(None)?;
    py.detach(|| pool.install(work)).map_err(Raise::raise)
}

/// As [`compute`], for work that looks at a flag.
pub(crate) fn compute_until_stopped<T: Send, E: Raise + Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool) -> Result<T, E> + Send,
) -> PyResult<T> {
    let pool = pool(None)?;
    let stop = AtomicBool::new(false);
    let (result, raised) = py.detach(|| {
        let (mut result, mut raised) = (None, None);
        pool.in_place_scope(|scope| {
            let (done, wait) = mpsc::sync_channel::<()>(1);
            let (result, stop) = (&mut result, &stop);
            scope.spawn(move |_| {
                *result = Some(work(stop));
                drop(done);
            });
            // Nothing is ever sent: the end of the work, or a panic in it, drops the sender.
            while wait.recv_timeout(SIGNALS_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                if raised.is_none()
                    && let Err(error) = Python::attach(|py| py.check_signals())
                {
                    raised = Some(error);
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        (result, raised)
    });
    match (raised, result) {
        (Some(error), _) => Err(error),
        (None, Some(result)) => result.map_err(Raise::raise),
        (None, None) => Err(PyRuntimeError::new_err("the computation gave no result")),
    }
}
