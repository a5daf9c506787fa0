//! `tercet runs`: lists runs, and compares two of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use tercet_train::shell;
use tercet_train::trainer::RunSummary;

use crate::General;
use crate::progress::remark;
use crate::table::{count, share};

/// The folder of the runs unless a flag gives another one.
const RUNS: &str = "runs";

/// List runs, or compare two of them.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every run with its date, steps, figures on held-out classes and source (the default).
    List(List),
    /// Two runs side by side: figures, and the settings in which they differ.
    Compare(Compare),
}

#[derive(Debug, Args)]
struct List {
    /// The folder that holds the runs.
    #[arg(default_value = RUNS)]
    folder: PathBuf,
}

#[derive(Debug, Args)]
struct Compare {
    /// The folder of a run.
    a: PathBuf,
    /// The folder of another run.
    b: PathBuf,
}

impl Runs {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        match self.command.unwrap_or(Command::List(List { folder: RUNS.into() })) {
            Command::List(list) => list.run(general),
            Command::Compare(compare) => compare.run(general),
        }
    }
}

/// The output of `tercet runs list --json`.
#[derive(Serialize)]
struct Listed {
    runs: Vec<RunSummary>,
}

impl List {
    fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let folder = &self.folder;
        let (runs, bad) = RunSummary::list(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        for error in bad {
            remark(general, format!("left out: {error}"));
        }
        let listed = Listed { runs };
        super::print(general, &listed, || match listed.runs.is_empty() {
            true => format!("no runs in {}; start one with: tercet train SOURCE", folder.display()),
            false => table(&listed.runs),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// One row per run; the longest column is last, so that lines may be truncated.
fn table(runs: &[RunSummary]) -> String {
    let head = ["run", "began (UTC)", "state", "steps", "Recall@1", "MAP@R", "source"];
    let rows = runs.iter().map(|run| {
        [
            run.run.display().to_string(),
            date(run.begun),
            run.state.to_string(),
            steps(run),
            figure(run.recall_at_1),
            figure(run.map_at_r),
            run.source.clone(),
        ]
    });
    let rows: Vec<[String; 7]> = [head.map(str::to_owned)].into_iter().chain(rows).collect();
    aligned(&rows)
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn steps(run: &RunSummary) -> String {
    match run.steps_done == run.steps {
        true => count(run.steps as usize),
        false => format!("{} of {}", count(run.steps_done as usize), count(run.steps as usize)),
    }
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), share)
}

/// Seconds since 1970 as a date and time in UTC, `2026-11-30 22:17`.
fn date(seconds: Option<u64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Hinnant's algorithm (`civil_from_days`): years that begin in March, in eras of 400 years.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + 400 * era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", second / 3600, second / 60 % 60)
}

/// The output of `tercet runs compare --json`.
#[derive(Serialize)]
struct Compared {
    a: RunSummary,
    b: RunSummary,
    /// Whether the figures of both were computed on the same held-out classes of the same data.
    comparable: bool,
    /// The run with the higher MAP@R, if they are comparable and differ.
    better: Option<PathBuf>,
    /// The settings in which they differ.
    changed: Vec<Changed>,
}

#[derive(Serialize)]
struct Changed {
    key: String,
    a: String,
    b: String,
}

impl Compare {
    fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let (a, b) = (RunSummary::read(&self.a)?, RunSummary::read(&self.b)?);
        let changed = a.differences(&b).into_iter();
        let changed = changed.map(|(key, a, b)| Changed { key, a, b }).collect();
        let comparable = a.is_comparable(&b);
        let better = match (comparable, a.map_at_r, b.map_at_r) {
            (true, Some(x), Some(y)) if x > y => Some(a.run.clone()),
            (true, Some(x), Some(y)) if y > x => Some(b.run.clone()),
            _ => None,
        };
        let compared = Compared { a, b, comparable, better, changed };
        super::print(general, &compared, || compared.text())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Compared {
    fn text(&self) -> String {
        let row = |name: &str, of: &dyn Fn(&RunSummary) -> String| {
            [name.to_owned(), of(&self.a), of(&self.b)]
        };
        let mut rows = vec![
            row("", &|run| run.run.display().to_string()),
            row("began (UTC)", &|run| date(run.begun)),
            row("state", &|run| run.state.to_string()),
            row("steps", &steps),
            row("Recall@1", &|run| figure(run.recall_at_1)),
            row("MAP@R", &|run| figure(run.map_at_r)),
        ];
        if !self.changed.iter().any(|changed| changed.key == "source") {
            rows.push(row("source", &|run| run.source.clone()));
        }
        let changed = self.changed.iter().filter(|changed| changed.key != "steps");
        rows.extend(changed.map(|Changed { key, a, b }| {
            [key, a, b].map(|cell| cell.trim_matches('"').to_owned())
        }));
        format!("{}\n\n{}", aligned(&rows), self.verdict())
    }

    fn verdict(&self) -> String {
        match (&self.better, self.comparable) {
            (Some(run), _) => format!(
                "{} is better: both figures are of the same held-out classes (a difference may be chance; `tercet eval` with both models tests it)",
                run.display()
            ),
            (None, true) => "no difference: both figures are of the same held-out classes".to_owned(),
            (None, false) => "the figures cannot be compared: they are of different held-out classes, or a run is not finished".to_owned(),
        }
    }
}

/// The model of the newest finished run on a source of this name. Reports which run that is, and
/// which other run is better, if any.
#[cfg_attr(not(feature = "gallery"), allow(dead_code))]
pub(crate) fn newest_model(general: &General, name: &str) -> Option<PathBuf> {
    let (newest, better) = RunSummary::newest(Path::new(RUNS), name)?;
    let model = newest.model.clone()?;
    remark(general, format!("model {} of the newest run (--model takes another)", model.display()));
    let better = better.and_then(|better| Some((better.map_at_r?, better.model?)));
    if let (Some((figure, other)), Some(own)) = (better, newest.map_at_r) {
        remark(
            general,
            format!(
                "note: the model of an earlier run is better on the same held-out classes (MAP@R {} instead of {}): --model {}",
                share(figure),
                share(own),
                shell::word(other)
            ),
        );
    }
    Some(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(Some(0)), "1970-01-01 00:00");
        assert_eq!(date(Some(951_782_400)), "2000-02-29 00:00");
        assert_eq!(date(Some(1_796_077_020)), "2026-11-30 22:17");
        assert_eq!(date(Some(4_107_542_399)), "2100-02-28 23:59");
        assert_eq!(date(None), "-");
    }
}
