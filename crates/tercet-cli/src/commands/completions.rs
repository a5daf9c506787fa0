//! `tercet completions` and `tercet man`: the completions of a shell, and manual pages.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, General};

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, _: &General) -> anyhow::Result<ExitCode> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tercet", &mut text);
        write(&text)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write a page for each command into this folder, instead of that of `tercet` to the terminal.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the reference of all commands as one Markdown page instead.
    #[arg(long, conflicts_with = "out")]
    markdown: bool,
}

impl Man {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let command = crate::command();
        if self.markdown {
            return write(crate::help::reference_page(command).as_bytes());
        }
        let Some(folder) = self.out else {
            let mut text = Vec::new();
            clap_mangen::Man::new(command).render(&mut text).context("cannot write the page")?;
            return write(&text);
        };
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        clap_mangen::generate_to(command, &folder)
            .with_context(|| format!("cannot write the pages to {}", folder.display()))?;
        let result = serde_json::json!({ "out": folder });
        super::print(general, &result, || format!("pages written to {}", folder.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn write(text: &[u8]) -> anyhow::Result<ExitCode> {
    match std::io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the result")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
