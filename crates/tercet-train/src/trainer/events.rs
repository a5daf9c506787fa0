//! What a run reports while it trains, and how its caller stops it.

use std::sync::atomic::AtomicBool;

use tercet::Retrieval;

use super::TrainError;
use super::counts::Count;
use super::run_folder::Line;
use super::settings::Phase;
use crate::data::BadItem;

/// What a run reports while it trains.
#[derive(Debug)]
pub enum Event<'a> {
    /// Items are being decoded and checked.
    Preparing {
        /// Items done.
        done: usize,
        /// Items in all.
        total: usize,
    },
    /// Items were left out.
    Skipped(&'a [BadItem]),
    /// A baseline was evaluated on the held-out classes: its name and result.
    Baseline(&'a str, &'a Retrieval),
    /// The first step of this call is about to start.
    Started {
        /// Steps done before.
        step: u64,
        /// Classes and items to train on.
        train: Count,
        /// Classes and items for evaluations during the run.
        validation: Count,
        /// Classes and items that are held out.
        holdout: Count,
        /// Number of weights of the network, without running statistics of batch norm.
        parameters: usize,
    },
    /// A phase of a curriculum begins or is continued.
    Phase {
        /// Its objective and its steps.
        phase: &'a Phase,
        /// How its batches are composed, in words.
        batch: String,
    },
    /// A step was done.
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
    /// A message that the user should see.
    Warning(String),
}

/// The state of a run that is left in the middle of long work.
#[derive(Debug)]
pub struct Left {
    /// Steps done; none if the run had not begun or not yet been resumed.
    pub step: Option<u64>,
    /// Whether the checkpoint could be written.
    pub saved: Result<(), TrainError>,
}

/// What a run needs besides its configuration.
pub struct Surroundings<'a> {
    /// Is called with every [`Event`].
    pub watch: &'a (dyn Fn(Event) + Sync),
    /// Once this is true, the run writes a checkpoint and stops at the next step.
    pub stop: &'a AtomicBool,
    /// Is called if the next step is too far away. The checkpoint has been written by then, and
    /// this function is expected to end the process. If it returns, or is `None`, the run stops at
    /// the next step.
    pub leave: Option<&'a (dyn Fn(Left) + Sync)>,
}
