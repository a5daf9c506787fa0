//! `tercet`: train embeddings on triplets, evaluate them, and use them.

// A print macro panics where its stream cannot be written; `exit::say` and `commands::print` do
// not.
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

mod commands;
mod exit;
mod help;
mod interrupt;
mod outputs;
mod progress;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A training step frees and takes the same large buffers all the time: giving their pages back to
/// the system in between costs more than it saves.
fn keep_freed_pages() {
    /// `mi_option_purge_delay` of mimalloc.h, which the bindings do not name.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: sets a documented option of the allocator (-1: never purge) before any thread starts.
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

/// The whole command line, with its help.
fn command() -> clap::Command {
    help::complete(Cli::command())
}

/// What was typed. A flag that other tools have gets a hint beside the error.
fn parsed() -> Cli {
    let parsed = command().try_get_matches().and_then(|found| Cli::from_arg_matches(&found));
    parsed.unwrap_or_else(|error| {
        // Without a terminal there is nobody to print it for.
        let _ = error.print();
        if let Some(hint) = help::hint(&error) {
            exit::say(&format!("\nhint: {hint}"));
        }
        std::process::exit(error.exit_code())
    })
}

fn main() -> ExitCode {
    let Cli { command, general } = parsed();
    // A server runs for long, and is idle for most of it.
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
        Command::Bench(bench) => bench.run(&general),
        Command::Data(data) => data.run(&general),
        Command::Doctor(doctor) => doctor.run(&general),
        Command::Completions(completions) => completions.run(&general),
        Command::Man(man) => man.run(&general),
    };
    done.unwrap_or_else(|error| exit::report(&error))
}
