//! Commands whose cargo feature this build does not have: they are listed, accept any arguments,
//! and report how to get them.

use std::ffi::OsString;

use clap::Args;

/// Any arguments at all.
#[derive(Debug, Args)]
pub(super) struct Anything {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

/// The error of the command `name`.
pub(super) fn error(name: &str) -> anyhow::Error {
    anyhow::anyhow!("this build has no `tercet {name}`: {}", tercet::FULL_BUILD)
}
