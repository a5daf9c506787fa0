//! Flags of other training programs whose replacement depends on the data or on their value: each
//! is refused with the command to use instead.

use std::ffi::OsString;
use std::path::Path;

use anyhow::bail;
use clap::Args;
use tercet_train::encoder::ENCODER_NAMES;
use tercet_train::shell;
use tercet_train::trainer::{TrainConfig, steps_of};

use crate::exit::Usage;
use crate::table::count;

#[derive(Debug, Args)]
pub(super) struct Foreign {
    #[arg(long, hide = true, value_name = "N")]
    epochs: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    model: Option<String>,
}

impl Foreign {
    /// Refuses these flags with the command to use instead; `merged` returns the configuration of
    /// all other flags.
    pub(super) fn refuse(
        &self,
        merged: impl FnOnce() -> anyhow::Result<TrainConfig>,
    ) -> anyhow::Result<()> {
        if let Some(epochs) = &self.epochs {
            bail!(Usage(in_steps(epochs, merged)));
        }
        if let Some(model) = &self.model {
            bail!(Usage(architecture(model)));
        }
        Ok(())
    }
}

/// The message for `--epochs`, with the number of steps if the data can be read.
fn in_steps(epochs: &str, merged: impl FnOnce() -> anyhow::Result<TrainConfig>) -> String {
    let number = epochs.parse::<f64>().ok().filter(|epochs| *epochs > 0.0 && epochs.is_finite());
    let known = number.and_then(|epochs| Some((epochs, steps_of(&merged().ok()?, epochs).ok()?)));
    match known {
        None => "--epochs is no flag of `tercet train`, which counts steps: use --steps N with \
                 N = epochs × training items / items of a batch"
            .to_owned(),
        Some((epochs, (steps, items, batch))) => {
            let why = format!(
                "it counts steps: {epochs} epochs × {} training items / {} items of a batch = {} steps",
                count(items),
                count(batch),
                count(steps as usize)
            );
            instead("epochs", &why, &["--steps".into(), steps.to_string().into()])
        }
    }
}

/// The message for `--model`: an architecture, or a file to continue from.
fn architecture(model: &str) -> String {
    if ENCODER_NAMES.contains(&model) {
        return instead("model", "it has --encoder", &["--encoder".into(), model.into()]);
    }
    if Path::new(model).is_file() {
        return instead(
            "model",
            "it continues a model with --from",
            &["--from".into(), model.into()],
        );
    }
    format!(
        "--model is no flag of `tercet train`: --encoder NAME chooses the architecture, one of {}; --from FILE continues a model file",
        ENCODER_NAMES.join(", ")
    )
}

/// The error message for a flag. It ends with the given command, in which `own` replaces the flag.
fn instead(flag: &str, why: &str, own: &[OsString]) -> String {
    let given: Vec<OsString> = crate::arguments().to_vec();
    let command = shell::command(replaced(given, own));
    format!("--{flag} is no flag of `tercet train`: {why}; use: {command}")
}

/// The flags of [`Foreign`].
const NAMES: [&str; 2] = ["epochs", "model"];

/// The foreign flag in a word of the command line, and whether the same word contains its value.
fn foreign(word: &str) -> Option<(&'static str, bool)> {
    let flag = word.strip_prefix("--")?;
    let (name, has_value) = flag.split_once('=').map_or((flag, false), |(name, _)| (name, true));
    NAMES.into_iter().find(|known| *known == name).map(|known| (known, has_value))
}

/// A command line with the first foreign flag and its value replaced.
fn replaced(given: Vec<OsString>, own: &[OsString]) -> Vec<OsString> {
    let mut words = vec![OsString::from("tercet")];
    let mut given = given.into_iter();
    while let Some(word) = given.next() {
        match foreign(&word.to_string_lossy()) {
            None => {
                words.push(word);
                continue;
            }
            Some((_, true)) => {}
            Some((_, false)) => drop(given.next()), // the value
        }
        words.extend_from_slice(own);
        words.extend(given);
        break;
    }
    words
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Only {
        #[command(flatten)]
        foreign: Foreign,
    }

    #[test]
    fn every_name_of_a_flag_can_be_replaced() {
        for flag in Only::command().get_arguments() {
            let Some(name) = flag.get_long().filter(|name| *name != "help") else { continue };
            assert!(NAMES.contains(&name), "{name}");
            for given in [vec![format!("--{name}"), "7".into()], vec![format!("--{name}=7")]] {
                let given = ["train".to_owned()].into_iter().chain(given).chain(["x".into()]);
                let own = ["--own".into(), "8".into()];
                let words = replaced(given.map(OsString::from).collect(), &own);
                assert_eq!(words, ["tercet", "train", "--own", "8", "x"]);
            }
        }
    }
}
