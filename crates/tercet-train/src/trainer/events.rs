//! What a run reports while it trains, and how it is stopped.

use std::sync::atomic::AtomicBool;

use tercet::Retrieval;

use super::TrainError;
use super::counts::Count;
use super::run_folder::Line;
use super::settings::Phase;
use crate::data::BadItem;

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// Items are decoded and checked.
    Preparing {
        /// Items done.
        done: usize,
        /// Items in all.
        total: usize,
    },
    /// Items were left out.
    Skipped(&'a [BadItem]),
    /// A baseline was judged on the held-out classes.
    Baseline(&'a str, &'a Retrieval),
    /// The first step is about to be made.
    Started {
        /// Steps done before.
        step: u64,
        /// What is learnt from.
        train: Count,
        /// What is chosen by.
        validation: Count,
        /// What is kept apart.
        holdout: Count,
        /// Numbers in the network.
        parameters: usize,
    },
    /// A phase of a curriculum begins, or is gone on with.
    Phase {
        /// Its objective and steps.
        phase: &'a Phase,
        /// Its batches in words.
        batch: String,
    },
    /// A step was made.
    Step {
        /// Steps done.
        step: u64,
    },
    /// A line was written to `metrics.jsonl`.
    Logged(&'a Line),
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: u64,
    },
    /// Something that a person should know.
    Warning(String),
}

/// How a run is left in the middle of long work.
#[derive(Debug)]
pub struct Left {
    /// Steps done; none if the run had not begun or not yet been resumed.
    pub step: Option<u64>,
    /// Whether the checkpoint could be written.
    pub saved: Result<(), TrainError>,
}

/// What a run needs beside its configuration.
pub struct Surroundings<'a> {
    /// Hears every [`Event`].
    pub watch: &'a (dyn Fn(Event) + Sync),
    /// Once true, the run stops at the next step, after a checkpoint.
    pub stop: &'a AtomicBool,
    /// Called if the next step is too far away: the checkpoint is written, and this is to end the
    /// process. If it returns, or there is none, the run stops at the next step.
    pub leave: Option<&'a (dyn Fn(Left) + Sync)>,
}
