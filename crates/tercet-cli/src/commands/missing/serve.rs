//! `tercet serve` in a build without the feature `serve`.

use std::process::ExitCode;

use clap::Args;

use super::missing::{Anything, error};
use crate::General;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    _anything: Anything,
}

impl Serve {
    pub(crate) fn run(self, _: &General) -> anyhow::Result<ExitCode> {
        Err(error("serve"))
    }
}
