//! The results of `tercet upgrade` as text.

use tercet_gallery::Info;
use tercet_train::shell;

use super::Apply;
use super::apply::Applied;
use super::findings::Findings;
use super::recommend::Action;
use super::staging::Plan;
use crate::commands::cross_model;
use crate::table::{count, counted};

/// The figures, the recommendation, and the command that carries it out.
pub(super) fn findings(findings: &Findings, measure: Option<&str>, next: Option<&str>) -> String {
    let Findings { pictures, measured, recommendation, .. } = findings;
    let mut text = format!(
        "{} of {} items have a picture\n",
        count(pictures.found),
        count(pictures.found + pictures.missing)
    );
    let whose = match (measure, measured.held_out) {
        (Some(source), _) => format!("of {source}"),
        (None, true) => "of the gallery that were held out in training".to_owned(),
        (None, false) => "of the gallery".to_owned(),
    };
    text += &format!(
        "measured on {} items in {} {whose}, leave-one-out",
        count(measured.items),
        counted(measured.classes, "class", "classes"),
    );
    if let Some(adapter) = &measured.adapter {
        text += &format!(
            "; the adapter ({}) was fitted to {} other items",
            adapter.kind().name(),
            count(measured.fitted_to)
        );
    }
    text += &format!("\n\n{}\n", cross_model::text(&measured.crossed));
    if measure.is_none() && !measured.held_out {
        text += "\nnote: the new model may have been trained on these classes, which flatters it; \
                 --measure SOURCE names items that it has not seen\n";
    }
    let action = match recommendation.action {
        Action::Keep => "keep the stored vectors",
        Action::Adapter => "map the stored vectors by the adapter",
        Action::Backfill => "compute the vectors again",
        Action::Refuse => "do not upgrade",
    };
    text += &format!("\nrecommended: {action}: {}", recommendation.reason);
    if let Some(next) = next {
        text += &format!("\ndo it with: {next}");
    }
    text
}

/// What was done, and how to undo or end it.
pub(super) fn applied(applied: &Applied, gallery: &str) -> String {
    let Applied { action, switched, index_built, .. } = applied;
    let carried = count(switched.carried as usize);
    let mut text = match action {
        Apply::Keep => {
            format!("{gallery} keeps its {carried} vectors for queries of the new model")
        }
        Apply::Adapter => format!("{gallery} holds {carried} vectors that the adapter has mapped"),
        Apply::Backfill if switched.carried == 0 => {
            format!(
                "{gallery} holds {} vectors of the new model",
                count(switched.computed as usize)
            )
        }
        Apply::Backfill => format!(
            "{gallery} holds {} vectors of the new model, and {carried} that were carried over because their pictures do not exist any more; searches say so",
            count(switched.computed as usize)
        ),
    };
    if *index_built {
        text += "\nthe index was built again";
    }
    let command = |flag: &str| shell::command(["tercet", "upgrade", gallery, flag]);
    text + &format!(
        "\nundo it with: {}\nend it, and free the space of the version before, with: {}",
        command("--rollback"),
        command("--finish")
    )
}

/// Whether an upgrade is unfinished or can be undone.
pub(super) fn state(info: &Info, unfinished: Option<(&Plan, u64)>, gallery: &str) -> String {
    let mut text = format!("{gallery} has the model {}", info.settings.model);
    if let Some(carried) = &info.carried {
        text += &format!("\n{}", carried.announcement(info.items));
    }
    match unfinished {
        Some((plan, ready)) => {
            text += &format!(
                "\nan upgrade to the model {} (--apply {}) is unfinished: {} of {} vectors are ready; continue it with the same command, or discard it with: {}",
                plan.model,
                plan.apply.name(),
                count(ready as usize),
                count(info.items as usize),
                shell::command(["tercet", "upgrade", gallery, "--rollback"])
            );
        }
        None if info.previous_model.is_none() => text += "\nno upgrade is unfinished",
        None => {}
    }
    if let Some(previous) = &info.previous_model {
        text += &format!(
            "\nthe version of the model {previous} is kept: return to it with --rollback, or remove it with --finish"
        );
    }
    text
}
