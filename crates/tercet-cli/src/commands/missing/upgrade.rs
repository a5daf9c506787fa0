//! `tercet upgrade` in a build without the feature `gallery`.

use std::process::ExitCode;

use clap::Args;

use super::missing::{Anything, error};
use crate::General;

#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    _anything: Anything,
}

impl Upgrade {
    pub(crate) fn run(self, _: &General) -> anyhow::Result<ExitCode> {
        Err(error("upgrade"))
    }
}
