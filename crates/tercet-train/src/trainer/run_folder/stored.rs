//! The text format of a run's `config.toml`.
//!
//! The first line contains the format and the time at which the run began; the last line marks the
//! end, so that a missing end is noticed. Files of earlier versions have neither line; they count
//! as complete if they have the keys that every version wrote, the last one included.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::trainer::TrainConfig;

const FIRST: &str = "# Configuration of a Tercet run, begun at Unix time ";
const LAST: &str = "# End of the configuration";

/// Keys that every version wrote, including the last key of a file.
const ALWAYS: [&str; 6] = ["source", "steps", "objective", "encoder", "seed", "threads"];

/// A configuration and the time at which its run began.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) config: TrainConfig,
    /// In whole seconds; none in files of earlier versions.
    pub(super) begun: Option<SystemTime>,
}

impl Stored {
    /// The text of the file. The error says why the configuration cannot be written.
    pub(super) fn text(&self) -> Result<String, String> {
        let keys = toml::to_string(&self.config).map_err(|error| error.to_string())?;
        Ok(match self.begun {
            None => format!("{keys}{LAST}\n"),
            Some(begun) => {
                let begun = begun.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                format!("{FIRST}{begun}\n{keys}{LAST}\n")
            }
        })
    }

    /// Reads a complete file. The error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let first = text.lines().next().and_then(|line| line.strip_prefix(FIRST));
        let is_complete = match first {
            Some(_) => text.lines().last() == Some(LAST),
            None => text.ends_with('\n'),
        };
        if !is_complete {
            return Err("it is incomplete: its end is missing".to_owned());
        }
        let keys: toml::Table = toml::from_str(text).map_err(|error| in_a_line(text, &error))?;
        if let Some(missing) = ALWAYS.into_iter().find(|key| !keys.contains_key(*key)) {
            return Err(format!("it is incomplete: it has no key `{missing}`"));
        }
        let config = toml::from_str(text).map_err(|error| in_a_line(text, &error))?;
        let begun = first.and_then(|seconds| seconds.parse().ok());
        let begun = begun.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        Ok(Self { config, begun })
    }
}

/// The message of a TOML error with its line number, without the excerpt that TOML prints.
fn in_a_line(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
    format!("line {line}: {}", error.message())
}

/// Keys that may change when a run is resumed: they do not affect what is learnt, or a user may
/// change them on purpose.
const FREE: [&str; 8] = [
    "steps",
    "threads",
    "out",
    "cache-limit",
    "ram-limit",
    "log-every",
    "checkpoint-every",
    "device",
];

/// The keys in which two configurations differ, except those that may change during a run, each
/// with both values as text.
pub(super) fn differences(now: &TrainConfig, then: &TrainConfig) -> Vec<(String, String, String)> {
    let table = |config| toml::Table::try_from(config).unwrap_or_default();
    let (now, then): (toml::Table, toml::Table) = (table(now), table(then));
    let keys: std::collections::BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let words = |table: &toml::Table, key: &str| {
        table.get(key).map_or_else(|| "not set".to_owned(), toml::Value::to_string)
    };
    keys.into_iter()
        .filter(|key| !FREE.contains(&key.as_str()) && now.get(*key) != then.get(*key))
        .map(|key| (key.clone(), words(&now, key), words(&then, key)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_is_noticed_in_new_files_and_old_ones() {
        let config = TrainConfig { threads: 16, ..TrainConfig::default() };
        let begun = Some(UNIX_EPOCH + Duration::from_secs(1_796_000_000));
        let stored = Stored { config, begun };
        let text = stored.text().unwrap();
        assert_eq!(Stored::parse(&text).unwrap(), stored);
        for end in 0..text.len() {
            assert!(Stored::parse(&text[..end]).is_err() || end == text.len() - 1, "{end}");
        }
        let old = toml::to_string(&stored.config).unwrap();
        assert_eq!(Stored::parse(&old).unwrap(), Stored { begun: None, ..stored });
        for end in 0..old.len() {
            assert!(Stored::parse(&old[..end]).is_err(), "{end}: {}", &old[..end]);
        }
    }

    #[test]
    fn what_decides_a_run_is_compared() {
        let one = TrainConfig { steps: 5, seed: 3, ..TrainConfig::default() };
        let two = TrainConfig { steps: 9, width: Some(8), ..TrainConfig::default() };
        let keys: Vec<_> = differences(&one, &two).into_iter().map(|(key, ..)| key).collect();
        assert_eq!(keys, ["seed", "width"]);
    }
}
