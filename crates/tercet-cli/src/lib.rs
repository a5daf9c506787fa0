//! `tercet`: train embeddings on triplets, evaluate them, and use them.
//!
//! The command line as a function, [`run`], so that another program can contain it: the Python package
//! does.

// A print macro panics if its stream cannot be written; `exit::say` and `commands::print` do not
// panic.
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

mod commands;
mod exit;
mod help;
mod interrupt;
mod outputs;
mod progress;
mod table;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::OnceLock;

pub use commands::train::configuration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

/// The arguments of the command line, without the name of the program.
static ARGUMENTS: OnceLock<Vec<OsString>> = OnceLock::new();

/// The arguments of the command line, for messages that repeat them.
fn arguments() -> &'static [OsString] {
    ARGUMENTS.get().map_or(&[], Vec::as_slice)
}

/// Makes the allocator keep freed pages: a training step frees and allocates the same large buffers
/// repeatedly, and returning their pages to the system in between costs more than it saves.
fn keep_freed_pages() {
    /// `mi_option_purge_delay` of mimalloc.h, for which the bindings have no constant.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: this sets a documented option of the allocator (-1: never purge) before any thread
    // starts.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
    }
}

/// Train embeddings on triplets, evaluate them, and use them to compare, search and group.
#[derive(Debug, Parser)]
#[command(name = "tercet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    general: General,
}

/// Options of every command.
#[derive(Debug, Args)]
struct General {
    /// Print results as one JSON document.
    #[arg(long, global = true)]
    json: bool,
    /// Print no progress and no remarks, only errors.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train an encoder, and evaluate it on classes it has not seen.
    Train(Box<commands::train::Train>),
    /// Evaluate models or files of embeddings.
    Eval(Box<commands::eval::Eval>),
    /// List runs, or compare two of them.
    Runs(commands::runs::Runs),
    /// Compute the embeddings of the items of a source.
    Embed(commands::embed::Embed),
    /// Write a model as an ONNX file for other programs.
    Export(commands::export::Export),
    /// Decide whether pictures show the same thing.
    Compare(commands::compare::Compare),
    /// Group items without using labels.
    Cluster(Box<commands::cluster::Cluster>),
    /// Store embeddings and search them.
    #[cfg_attr(
        not(feature = "gallery"),
        command(about = "Store embeddings and search them (not in this build)")
    )]
    Gallery(commands::gallery::Gallery),
    /// Compute the loss, its gradient and the triplet counts of given vectors.
    Loss(Box<commands::loss::Loss>),
    /// Serve a gallery over HTTP, with a page to search and browse it.
    #[cfg_attr(
        not(feature = "serve"),
        command(about = "Serve a gallery over HTTP, with a page (not in this build)")
    )]
    Serve(commands::serve::Serve),
    /// Replace the model of a gallery, and keep its vectors or compute them again.
    #[cfg_attr(
        not(feature = "gallery"),
        command(about = "Replace the model of a gallery (not in this build)")
    )]
    Upgrade(commands::upgrade::Upgrade),
    /// Measure the speed of the objectives against their matrix products.
    Bench(commands::bench::Bench),
    /// List, inspect and preview sources of data.
    Data(commands::data::Data),
    /// Check what this build and this machine can do.
    Doctor(commands::doctor::Doctor),
    /// Print the completions of a shell.
    Completions(commands::completions::Completions),
    /// Print or write manual pages.
    Man(commands::completions::Man),
}

/// The definition of the whole command line, with its help.
fn command() -> clap::Command {
    help::complete(Cli::command())
}

/// The parsed command line. An unknown flag that other tools have gets a hint after the error.
fn parsed() -> Cli {
    let typed = std::iter::once(OsString::from("tercet")).chain(arguments().iter().cloned());
    let parsed =
        command().try_get_matches_from(typed).and_then(|found| Cli::from_arg_matches(&found));
    parsed.unwrap_or_else(|error| {
        // If it cannot be written, nobody could read it.
        let _ = error.print();
        if let Some(hint) = help::hint(&error) {
            exit::say(&format!("\nhint: {hint}"));
        }
        std::process::exit(error.exit_code())
    })
}

/// Runs a command and returns its exit status. `arguments` do not contain the name of the program.
///
/// Wrong usage, `--help` and `--version` end the process. A command installs its handler of Ctrl-C and
/// starts the threads of the process, so this is called once, at the end of a program's `main`. The
/// allocator is expected to be mimalloc.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // A second call would repeat the arguments of the first in its messages, and nothing else.
    let _ = ARGUMENTS.set(arguments.into_iter().collect());
    let Cli { command, general } = parsed();
    tercet_onnx::use_as_backbones();
    #[cfg(feature = "parquet")]
    tercet_parquet::enable();
    // A server runs for a long time and is idle most of it, so it returns its pages to the system.
    if !matches!(command, Command::Serve(_)) {
        keep_freed_pages();
    }
    let done = match command {
        Command::Train(train) => train.run(&general),
        Command::Eval(eval) => eval.run(&general),
        Command::Runs(runs) => runs.run(&general),
        Command::Embed(embed) => embed.run(&general),
        Command::Export(export) => export.run(&general),
        Command::Compare(compare) => compare.run(&general),
        Command::Cluster(cluster) => cluster.run(&general),
        Command::Gallery(gallery) => gallery.run(&general),
        Command::Loss(loss) => loss.run(&general),
        Command::Serve(serve) => serve.run(&general),
        Command::Upgrade(upgrade) => upgrade.run(&general),
        Command::Bench(bench) => bench.run(&general),
        Command::Data(data) => data.run(&general),
        Command::Doctor(doctor) => doctor.run(&general),
        Command::Completions(completions) => completions.run(&general),
        Command::Man(man) => man.run(&general),
    };
    done.unwrap_or_else(|error| exit::report(&error))
}
