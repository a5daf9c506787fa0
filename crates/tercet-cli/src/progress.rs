//! What a person watches while work goes on: bars on a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tercet_train::printable::printable_text;
use tercet_train::trainer::{Condition, Event, JudgedOn, Line, REMEDY, StepLine};

use crate::General;
use crate::table::{count, share};

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

/// A remark for the person, on stderr.
pub(crate) fn remark(general: &General, text: impl std::fmt::Display) {
    if !general.quiet {
        eprintln!("{}", printable_text(&text.to_string()));
    }
}

/// A sign of life for work of unknown length; nothing without a terminal.
pub(crate) fn spinner(general: &General, what: &'static str) -> ProgressBar {
    if Mode::of(general) != Mode::Bars {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A bar for work of known length; nothing without a terminal.
pub(crate) fn bar(general: &General, what: &'static str, total: usize) -> ProgressBar {
    if Mode::of(general) != Mode::Bars {
        return ProgressBar::hidden();
    }
    ProgressBar::new(total as u64)
        .with_message(what)
        .with_style(style("{msg:<12} {wide_bar} {human_pos}/{human_len}  {eta} left"))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
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
    /// The step of the last plain line.
    told: u64,
}

impl TrainingDisplay {
    pub(crate) fn new(general: &General, steps: u64) -> Self {
        let mode = Mode::of(general);
        let bars = MultiProgress::new();
        let line = || match mode {
            Mode::Bars => bars.add(ProgressBar::new(0).with_style(style("{msg}"))),
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

    /// Takes in what the run tells.
    pub(crate) fn show(&self, event: Event) {
        match event {
            Event::Preparing { done, total } => {
                if done == 0 || self.main.length() != Some(total as u64) {
                    self.main.set_length(total as u64);
                    self.main.set_style(style("reading  {wide_bar} {human_pos}/{human_len} items"));
                }
                self.main.set_position(done as u64);
            }
            Event::Skipped(items) => {
                self.say(&format!("left out {} unreadable items:", items.len()));
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
                let chosen = match validation.classes {
                    0 => String::new(),
                    classes => format!(
                        "validating on {} others ({} items), ",
                        count(classes),
                        count(validation.items)
                    ),
                };
                self.say(&format!(
                    "training on {} classes ({} items), {chosen}evaluating on {} others ({} items), {} parameters{resumed}",
                    count(train.classes),
                    count(train.items),
                    count(holdout.classes),
                    count(holdout.items),
                    count(parameters)
                ));
                self.main.set_style(style(
                    "step     {wide_bar} {human_pos}/{human_len}  {elapsed} so far, {eta} left",
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
                self.loss.set_message(format!(
                    "loss     {}  {:.4}",
                    sparkline(&curves.loss, None),
                    line.loss
                ));
                self.active.set_message(format!(
                    "active   {}  {:.0} % of the selected triplets have a gradient, {:.0} % are violated{}",
                    sparkline(&curves.active, Some(1.0)),
                    100.0 * line.active,
                    100.0 * line.violated,
                    backward(line)
                ));
                self.spread.set_message(spread(line));
                self.collapse.set_message(fares(line));
                let tenth = self.steps.div_ceil(10);
                if self.mode == Mode::Lines
                    && (line.step / tenth > curves.told / tenth || line.step == 1)
                {
                    curves.told = line.step;
                    eprintln!(
                        "step {:>6}  loss {:.4}  active {:>3.0} %  {:.0} items/s{}",
                        line.step,
                        line.loss,
                        100.0 * line.active,
                        line.items_per_second,
                        waits(line).map_or_else(|| backward(line), |text| format!("  {text}"))
                    );
                }
            }
            Line::Judged(line) => {
                remember(&mut curves.recall, line.recall_at_1);
                let on = match line.on {
                    JudgedOn::Holdout => "held out",
                    JudgedOn::Validation => "validated",
                };
                self.held_out.set_message(format!(
                    "{on:<8} {}  Recall@1 {}  MAP@R {}  (step {})",
                    sparkline(&curves.recall, Some(1.0)),
                    share(line.recall_at_1),
                    share(line.map_at_r),
                    line.step
                ));
                if self.mode == Mode::Lines {
                    eprintln!(
                        "step {:>6}  {on}: Recall@1 {}  MAP@R {}",
                        line.step,
                        share(line.recall_at_1),
                        share(line.map_at_r)
                    );
                }
            }
            Line::Collapse(line) => {
                curves.told = line.step; // it may have gone back
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
        let text = printable_text(text);
        match self.mode {
            Mode::Quiet => {}
            Mode::Lines => eprintln!("{text}"),
            // A lost remark is no reason to lose the run.
            Mode::Bars => drop(self.bars.println(text)),
        }
    }

    /// Leaves the last state of the lines on the screen.
    pub(crate) fn finish(&self) {
        for line in
            [&self.main, &self.loss, &self.active, &self.spread, &self.held_out, &self.collapse]
        {
            line.abandon();
        }
    }
}

/// Values a sparkline shows.
const WIDTH: usize = 30;

fn remember(curve: &mut VecDeque<f64>, value: f64) {
    if curve.len() == WIDTH {
        curve.pop_front();
    }
    curve.push_back(value);
}

/// The curve as blocks, from 0 to `top` or the largest value.
fn sparkline(curve: &VecDeque<f64>, top: Option<f64>) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let top = top.unwrap_or_else(|| curve.iter().copied().fold(f64::MIN_POSITIVE, f64::max));
    let blocks: String =
        curve.iter().map(|value| BLOCKS[((value / top * 8.0) as usize).min(7)]).collect();
    format!("{blocks:<WIDTH$}")
}

/// How the run fares, as the collapse watch sees it.
fn fares(line: &StepLine) -> String {
    waits(line).map_or_else(String::new, |text| format!("watch    {text}"))
}

/// What is to be said of a run that does not just learn.
fn waits(line: &StepLine) -> Option<String> {
    let condition = line.collapse.filter(|condition| *condition != Condition::Learning)?;
    let spread = line.spread.map_or_else(String::new, |spread| {
        format!(", distances at {:.0} % of their start", 100.0 * spread)
    });
    Some(format!("{condition}{spread}"))
}

/// How much of the way back was saved.
fn backward(line: &StepLine) -> String {
    match line.backward {
        Some(share) if share < 1.0 => format!(", {:.0} % of the items went back", 100.0 * share),
        _ => String::new(),
    }
}

fn spread(line: &StepLine) -> String {
    let range = |name: &str, p: Option<tercet::Percentiles>| {
        p.map_or_else(String::new, |p| format!("{name} {:.2} · {:.2} · {:.2}", p.p5, p.p50, p.p95))
    };
    format!(
        "spread   {}   {}   (5 · 50 · 95 %)   {:.0} items/s",
        range("norms", line.norm),
        range("distances", line.distance),
        line.items_per_second
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparklines_rise_with_their_values() {
        let curve = VecDeque::from([0.0, 0.5, 1.0]);
        assert_eq!(sparkline(&curve, Some(1.0)).trim_end(), "▁▅█");
        assert_eq!(sparkline(&VecDeque::from([0.0]), None).trim_end(), "▁");
    }
}
