//! `tercet`: train embeddings on triplets, judge them, put them to use.

mod commands;
mod exit;
mod interrupt;
mod progress;
mod table;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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

/// Train embeddings on triplets, prove what they are worth, put them to use.
#[derive(Debug, Parser)]
#[command(name = "tercet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    general: General,
}

/// What every command understands.
#[derive(Debug, Args)]
struct General {
    /// Print results as one JSON document.
    #[arg(long, global = true)]
    json: bool,
    /// No progress, no remarks; errors only.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train an encoder and judge it on classes it never saw.
    Train(Box<commands::train::Train>),
    /// Judge a model or a file of embeddings.
    Eval(Box<commands::eval::Eval>),
    /// Turn the items of a source into embeddings.
    Embed(commands::embed::Embed),
    /// Write a model as ONNX, for other programs.
    Export(commands::export::Export),
    /// Whether pictures show the same.
    Compare(commands::compare::Compare),
    /// Group items without labels.
    Cluster(Box<commands::cluster::Cluster>),
    /// Keep embeddings to be searched.
    #[cfg_attr(
        not(feature = "gallery"),
        command(about = "Keep embeddings to be searched (not in this build)")
    )]
    Gallery(commands::gallery::Gallery),
    /// Exact value, gradient and triplet census of given vectors.
    Loss(Box<commands::loss::Loss>),
    /// Serve a gallery over HTTP, with a page to search and wander in it.
    #[cfg_attr(
        not(feature = "serve"),
        command(about = "Serve a gallery over HTTP (not in this build)")
    )]
    Serve(commands::serve::Serve),
    /// Measure the objectives against the matrix products they need.
    Bench(commands::bench::Bench),
    /// Look at sources.
    Data(commands::data::Data),
}

fn main() -> ExitCode {
    let Cli { command, general } = Cli::parse();
    // A server runs for long, and is idle for most of it.
    if !matches!(command, Command::Serve(_)) {
        keep_freed_pages();
    }
    let done = match command {
        Command::Train(train) => train.run(&general),
        Command::Eval(eval) => eval.run(&general),
        Command::Embed(embed) => embed.run(&general),
        Command::Export(export) => export.run(&general),
        Command::Compare(compare) => compare.run(&general),
        Command::Cluster(cluster) => cluster.run(&general),
        Command::Gallery(gallery) => gallery.run(&general),
        Command::Loss(loss) => loss.run(&general),
        Command::Serve(serve) => serve.run(&general),
        Command::Bench(bench) => bench.run(&general),
        Command::Data(data) => data.run(&general),
    };
    done.unwrap_or_else(|error| exit::report(&error))
}
