//! `tercet train --dry-run`: shows what would be trained.

use std::process::ExitCode;

use tercet_train::trainer::{Bytes, Event, Left, Plan, Surroundings, TrainConfig, plan};

use crate::General;
use crate::commands::print;
use crate::exit::{self, Interrupted};
use crate::interrupt;
use crate::progress::{TrainingDisplay, remark};
use crate::table::count;

/// Prepares the run, measures a few steps, and prints the plan.
pub(super) fn show(general: &General, config: &TrainConfig) -> anyhow::Result<ExitCode> {
    let display = TrainingDisplay::new(general, config.steps);
    let interrupted =
        || anyhow::Error::from(Interrupted("interrupted; nothing was written".to_owned()));
    let watch = |event: Event| {
        // The events of the measured steps must not be shown.
        if matches!(event, Event::Preparing { .. } | Event::Skipped(_) | Event::Warning(_)) {
            display.show(event);
        }
    };
    let leave: &(dyn Fn(Left) + Sync) = &|_| {
        display.interrupted();
        exit::leave(&interrupted())
    };
    let around = Surroundings { watch: &watch, stop: interrupt::watch()?, leave: Some(leave) };
    let planned = plan(config, &around);
    display.interrupted(); // the bars are no longer needed
    let planned = planned?.ok_or_else(interrupted)?;
    print(general, &planned, || text(&planned))?;
    remark(general, "nothing was trained or written; without --dry-run the run starts");
    Ok(ExitCode::SUCCESS)
}

fn text(plan: &Plan) -> String {
    let items = |name: &str, counted: tercet_train::trainer::Count| match counted.items {
        0 => format!("{name:<11} no classes\n"),
        _ => format!(
            "{name:<11} {} items of {} classes\n",
            count(counted.items),
            count(counted.classes)
        ),
    };
    let mut text = format!("source      {}\n", plan.source);
    text += &items("train", plan.train);
    if plan.validation.items > 0 {
        text += &items("validation", plan.validation);
    }
    text += &items("held out", plan.holdout);
    if plan.skipped > 0 {
        text += &format!("left out    {} unreadable items\n", count(plan.skipped));
    }
    text += &format!("encoder     {}, {} parameters\n", plan.encoder, count(plan.parameters));
    text += &format!("objective   {}\n", plan.objective);
    let chunk = plan.chunk.map_or_else(String::new, |chunk| {
        format!(", {} at once through the network", count(chunk))
    });
    text += &format!("batch       {} = {} items{chunk}\n", plan.batch, count(plan.batch_items));
    text += &format!(
        "steps       {}, each item about {:.1} times\n",
        count(plan.steps as usize),
        plan.epochs
    );
    text += &format!("memory      about {}\n", size(plan.memory_bytes));
    text + &format!(
        "time        about {}: {:.3} s a step (measured over {}), and the evaluations",
        duration(plan.seconds),
        plan.seconds_per_step,
        plan.measured_steps
    )
}

/// A number of bytes in whole MiB or in tenths of a GiB.
fn size(bytes: u64) -> String {
    let mib = bytes.div_ceil(1 << 20);
    match mib {
        0..1024 => format!("{}", Bytes(mib << 20)),
        _ => format!("{:.1}G", mib as f64 / 1024.0),
    }
}

/// A duration in seconds, minutes or hours.
fn duration(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        ..5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
