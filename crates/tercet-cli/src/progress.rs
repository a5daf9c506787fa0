//! Progress: bars on a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use tercet_train::printable::printable_text;
use tercet_train::trainer::{Condition, Event, JudgedOn, Line, REMEDY, StepLine};

use crate::General;
use crate::table::{count, counted, number, share};
use crate::terminal::{columns, stderr_width, wrapped};

/// Whether and how progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Quiet,
    Lines,
    Bars,
}

impl Mode {
    fn of(general: &General) -> Self {
        match (general.quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (_, true) => Self::Bars,
            (_, false) => Self::Lines,
        }
    }
}

/// Writes a remark for the user to standard error.
pub(crate) fn remark(general: &General, text: impl std::fmt::Display) {
    if !general.quiet {
        // If standard error is closed, the work continues.
        let text = wrapped(&printable_text(&text.to_string()), stderr_width());
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// Shows that work of unknown length is running; hidden without a terminal.
pub(crate) fn spinner(general: &General, what: &'static str) -> ProgressBar {
    if Mode::of(general) != Mode::Bars {
        return ProgressBar::hidden();
    }
    let spinner =
        ProgressBar::new_spinner().with_message(what).with_style(lowered("{spinner} {msg}"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A progress bar for work of known length; hidden without a terminal.
pub(crate) fn bar(general: &General, what: &'static str, total: usize) -> ProgressBar {
    if Mode::of(general) != Mode::Bars {
        return ProgressBar::hidden();
    }
    ProgressBar::new(total as u64)
        .with_message(what)
        .with_style(lowered("{msg:<10} {wide_bar} {human_pos}/{human_len}{left}"))
}

/// A style below an empty row. The terminal writes `^C` after the live lines, in the row below them, so
/// that they are drawn again one row too low: what remains on the screen is then an empty row.
fn lowered(template: &str) -> ProgressStyle {
    style(&format!("\n{template}"))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("left", left)
        .progress_chars("━╸─")
}

/// The remaining time, once it can be estimated.
fn left(state: &ProgressState, text: &mut dyn std::fmt::Write) {
    if state.eta().as_secs() > 0 {
        let _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
    }
}

/// The live display of a training run.
pub(crate) struct TrainingDisplay {
    mode: Mode,
    steps: u64,
    bars: MultiProgress,
    main: ProgressBar,
    loss: ProgressBar,
    active: ProgressBar,
    spread: ProgressBar,
    held_out: ProgressBar,
    collapse: ProgressBar,
    curves: Mutex<Curves>,
}

#[derive(Default)]
struct Curves {
    loss: VecDeque<f64>,
    active: VecDeque<f64>,
    recall: VecDeque<f64>,
    /// The step of the last line that was printed.
    told: u64,
}

impl TrainingDisplay {
    pub(crate) fn new(general: &General, steps: u64) -> Self {
        let mode = Mode::of(general);
        let bars = MultiProgress::new();
        let line = || match mode {
            Mode::Bars => bars.add(ProgressBar::new(0).with_style(style("{wide_msg}"))),
            _ => ProgressBar::hidden(),
        };
        let main = line();
        Self {
            loss: line(),
            active: line(),
            spread: line(),
            held_out: line(),
            collapse: line(),
            main,
            mode,
            steps,
            bars,
            curves: Mutex::default(),
        }
    }

    /// Shows an event of the run.
    pub(crate) fn show(&self, event: Event) {
        match event {
            Event::Preparing { done, total } => {
                if done == 0 || self.main.length() != Some(total as u64) {
                    self.main.set_length(total as u64);
                    self.main
                        .set_style(lowered("reading  {wide_bar} {human_pos}/{human_len} items"));
                }
                self.main.set_position(done as u64);
            }
            Event::Skipped(items) => {
                self.say(&format!(
                    "left out {}:",
                    counted(items.len(), "unreadable item", "unreadable items")
                ));
                items.iter().for_each(|item| self.say(&format!("  {item}")));
            }
            Event::Baseline(name, judged) => self.say(&format!(
                "{name:<10} Recall@1 {}  MAP@R {}",
                share(judged.recall_at(1).unwrap_or_default()),
                share(judged.map_at_r)
            )),
            Event::Started { step, train, validation, holdout, parameters } => {
                let resumed =
                    if step > 0 { format!(", resumed after step {step}") } else { String::new() };
                let extent = |classes, items| {
                    format!(
                        "{} ({})",
                        counted(classes, "class", "classes"),
                        counted(items, "item", "items")
                    )
                };
                let mut parts = vec![format!("training on {}", extent(train.classes, train.items))];
                if validation.classes > 0 {
                    let extent = extent(validation.classes, validation.items);
                    parts.push(format!("validating on {extent}"));
                }
                if holdout.classes > 0 {
                    let extent = extent(holdout.classes, holdout.items);
                    parts.push(format!("evaluating on {extent} held out"));
                }
                parts.push(counted(parameters, "parameter", "parameters") + &resumed);
                self.say(&parts.join(", "));
                self.main.set_style(lowered(
                    "step     {wide_bar} {human_pos}/{human_len}, {elapsed} so far{left}",
                ));
                self.main.set_length(self.steps);
                self.main.set_position(step);
                self.main.reset_eta();
                self.main.enable_steady_tick(Duration::from_millis(500));
            }
            Event::Phase { phase, batch } => self.say(&format!(
                "steps {} to {}: {}, {batch}",
                count(phase.from as usize),
                count(phase.until as usize),
                phase.objective
            )),
            Event::Step { step } => self.main.set_position(step),
            Event::Logged(line) => self.logged(line),
            Event::Checkpoint { .. } => {}
            Event::Warning(text) => self.say(&format!("note: {text}")),
        }
    }

    fn logged(&self, line: &Line) {
        let Ok(mut curves) = self.curves.lock() else { return };
        match line {
            Line::Step(line) => {
                remember(&mut curves.loss, line.loss);
                remember(&mut curves.active, line.active);
                self.loss.set_message(live("loss", &curves.loss, None, &[number(line.loss)]));
                let active = [
                    format!("{:.0} % of triplets have a gradient", 100.0 * line.active),
                    format!(", {:.0} % violated", 100.0 * line.violated),
                    backward(line),
                ];
                self.active.set_message(live("active", &curves.active, Some(1.0), &active));
                self.spread.set_message(spread(line));
                self.collapse.set_message(fares(line));
                let tenth = self.steps.div_ceil(10);
                if self.mode == Mode::Lines
                    && (line.step / tenth > curves.told / tenth || line.step == 1)
                {
                    curves.told = line.step;
                    self.say(&format!(
                        "step {:>6}  loss {}  active {:>3.0} %  {:.0} items/s{}",
                        line.step,
                        number(line.loss),
                        100.0 * line.active,
                        line.items_per_second,
                        waits(line).map_or_else(|| backward(line), |text| format!("  {text}"))
                    ));
                }
            }
            Line::Judged(line) => {
                remember(&mut curves.recall, line.recall_at_1);
                let on = match line.on {
                    JudgedOn::Holdout => "held out",
                    JudgedOn::Validation => "validated",
                };
                let figures = [
                    format!("Recall@1 {}  MAP@R {}", share(line.recall_at_1), share(line.map_at_r)),
                    format!("  (step {})", count(line.step as usize)),
                ];
                self.held_out.set_message(live(on, &curves.recall, Some(1.0), &figures));
                if self.mode == Mode::Lines {
                    self.say(&format!("step {:>6}  {on}: {}", line.step, figures[0]));
                }
            }
            Line::Collapse(line) => {
                curves.told = line.step; // the run may have returned to it
                self.say(&match line.easing {
                    Some(easing) => format!(
                        "collapsed at step {} (noticed at {}): returned to step {}, continuing with {easing}",
                        count(line.since as usize),
                        count(line.noticed as usize),
                        count(line.step as usize)
                    ),
                    None => format!(
                        "collapsed at step {} (noticed at {}): all embeddings became equal. {REMEDY}",
                        count(line.since as usize),
                        count(line.noticed as usize)
                    ),
                });
            }
        }
    }

    fn say(&self, text: &str) {
        let text = wrapped(&printable_text(text), stderr_width());
        // If standard error is closed, the run continues.
        match self.mode {
            Mode::Quiet => {}
            Mode::Lines => drop(writeln!(std::io::stderr(), "{text}")),
            Mode::Bars => drop(self.bars.println(text)),
        }
    }

    /// Leaves the last figures on the screen, without the remaining time.
    pub(crate) fn finish(&self) {
        self.main.set_style(style("step     {human_pos}/{human_len} in {elapsed}"));
        for line in self.lines() {
            // A line without content would remain as an empty line.
            match line.message().is_empty() && line.length() == Some(0) {
                true => line.finish_and_clear(),
                false => line.abandon(),
            }
        }
    }

    /// Removes the lines from the screen: their remaining time is no longer valid.
    pub(crate) fn interrupted(&self) {
        self.lines().into_iter().for_each(ProgressBar::finish_and_clear);
    }

    fn lines(&self) -> [&ProgressBar; 6] {
        [&self.main, &self.loss, &self.active, &self.spread, &self.held_out, &self.collapse]
    }
}

/// A live line that fits the terminal: a label, a curve as wide as the space allows, and as many of
/// the texts as fit.
fn live(label: &str, curve: &VecDeque<f64>, top: Option<f64>, texts: &[String]) -> String {
    // The terminal may write ^C at the end of a line, which must not make the line wrap.
    let width = stderr_width().unwrap_or(80).saturating_sub(3);
    fitting(label, curve, top, texts, width)
}

/// Width of the labels of live lines in columns.
const LABEL: usize = 9;

/// Width of the narrowest curve in columns.
const NARROW: usize = 8;

fn fitting(
    label: &str,
    curve: &VecDeque<f64>,
    top: Option<f64>,
    texts: &[String],
    width: usize,
) -> String {
    let space = width.saturating_sub(LABEL + 2);
    let mut text = String::new();
    for (place, more) in texts.iter().enumerate() {
        if place > 0 && columns(&text) + columns(more) + NARROW > space {
            break;
        }
        text += more;
    }
    let curve_width = space.saturating_sub(columns(&text)).min(WIDTH);
    let mut shown = curve.clone();
    shown.drain(..curve.len().saturating_sub(curve_width));
    format!("{label:<LABEL$}{}  {text}", sparkline(&shown, top, curve_width))
}

/// Number of values that a sparkline shows.
const WIDTH: usize = 30;

fn remember(curve: &mut VecDeque<f64>, value: f64) {
    if curve.len() == WIDTH {
        curve.pop_front();
    }
    curve.push_back(value);
}

/// The curve as block characters, scaled from 0 to `top` or to its largest value.
fn sparkline(curve: &VecDeque<f64>, top: Option<f64>, width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let top = top.unwrap_or_else(|| curve.iter().copied().fold(f64::MIN_POSITIVE, f64::max));
    let blocks: String =
        curve.iter().map(|value| BLOCKS[((value / top * 8.0) as usize).min(7)]).collect();
    format!("{blocks:<width$}")
}

/// The state of the run according to the detection of a collapse.
fn fares(line: &StepLine) -> String {
    waits(line).map_or_else(String::new, |text| format!("watch    {text}"))
}

/// With fewer steps than this at the collapse value, nothing is reported.
const UNREMARKABLE: u64 = 50;

/// The message about a run that is waiting at the collapse value or has collapsed.
fn waits(line: &StepLine) -> Option<String> {
    let condition = line.collapse.filter(|condition| match condition {
        Condition::Learning => false,
        Condition::Waiting { steps, .. } => *steps >= UNREMARKABLE,
        Condition::Collapsed { .. } => true,
    })?;
    let spread = line.spread.map_or_else(String::new, |spread| {
        format!(", distances at {:.0} % of their start", 100.0 * spread)
    });
    Some(format!("{condition}{spread}"))
}

/// The share of the items for which a backward pass was computed, if it is below 1.
fn backward(line: &StepLine) -> String {
    match line.backward {
        Some(share) if share < 1.0 => format!(", backward pass for {:.0} %", 100.0 * share),
        _ => String::new(),
    }
}

fn spread(line: &StepLine) -> String {
    let range = |name: &str, p: Option<tercet::Percentiles>| {
        p.map_or_else(String::new, |p| format!("{name} {:.2} · {:.2} · {:.2}", p.p5, p.p50, p.p95))
    };
    let mut text = format!("spread   {}", range("norms", line.norm));
    for more in [
        range("  distances", line.distance),
        "  (5, 50, 95 %)".to_owned(),
        format!("  {:.0} items/s", line.items_per_second),
    ] {
        if columns(&text) + columns(&more) <= stderr_width().unwrap_or(80).saturating_sub(3) {
            text += &more;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparklines_rise_with_their_values() {
        let curve = VecDeque::from([0.0, 0.5, 1.0]);
        assert_eq!(sparkline(&curve, Some(1.0), 30).trim_end(), "▁▅█");
        assert_eq!(sparkline(&VecDeque::from([0.0]), None, 30).trim_end(), "▁");
    }

    #[test]
    fn live_lines_fit_the_terminal() {
        let curve: VecDeque<f64> = (0..30).map(f64::from).collect();
        let texts =
            ["43 % of triplets have a gradient", ", 12 % violated", ", backward pass for 80 %"];
        let texts = texts.map(str::to_owned);
        for width in [57, 77, 117] {
            let line = fitting("active", &curve, None, &texts, width);
            assert!(columns(&line) <= width, "{width}: {line}");
            assert!(line.contains("have a gradient") && line.contains('█'), "{line}");
        }
        assert!(fitting("active", &curve, None, &texts, 117).ends_with("80 %"));
        assert!(fitting("active", &curve, None, &texts, 57).ends_with("gradient"));
    }
}
