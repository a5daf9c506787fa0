//! The command `tercet`.

use std::ffi::OsString;
use std::process::ExitCode;

use pyo3::prelude::*;

/// Runs a command of the command line, without the name of the program, and returns its exit status.
///
/// Wrong usage, ``--help`` and ``--version`` end the process. For the command ``tercet`` only: a process
/// runs at most one.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    let status = py.detach(|| tercet_cli::run(arguments));
    // A status shows its number to nobody, but is equal to that of the same number.
    (0..=u8::MAX).find(|&number| ExitCode::from(number) == status).unwrap_or(1)
}
