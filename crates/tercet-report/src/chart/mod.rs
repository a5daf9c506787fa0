//! Charts as inline SVG, one kind per file.
//!
//! Colours come from the style sheet of the page, so that charts follow its light or dark setting.

mod bands;
mod bars;
mod curves;
mod frame;
mod histogram;
mod lines;
mod systems;
#[cfg(test)]
mod tests;

use askama::Template;

use crate::number::{grouped, percent, significant};
use crate::scale::Unit;

pub(crate) use bands::bands;
pub(crate) use bars::{class_bars, run_bars};
pub(crate) use curves::curves;
use frame::Frame;
pub(crate) use histogram::histograms;
pub(crate) use systems::{cmc, precision_recall, probability, reliability, roc};

/// A chart with its heading and legend, or the reason why there is none.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) heading: String,
    pub(crate) caption: String,
    pub(crate) drawing: Drawing,
}

/// The content of a figure.
#[derive(Debug, Clone)]
pub(crate) enum Drawing {
    Chart(Box<Chart>),
    /// The reason why there is nothing to draw.
    Nothing(String),
}

/// The geometry of a chart, in the units of its view box.
#[derive(Debug, Clone, Template)]
#[template(path = "chart.svg", escape = "html")]
pub(crate) struct Chart {
    title: String,
    description: String,
    frame: Frame,
    /// The name of the horizontal axis.
    across: &'static str,
    marks: Vec<Mark>,
    dots: Vec<Dot>,
    line: Option<MarkedLine>,
    /// The positions at which the read-out can stop, and the text that it shows there.
    stops: Stops,
    /// The position, as text, whose values the legend shows until a reader points at the chart.
    pub(crate) when: String,
    pub(crate) legend: Vec<Legend>,
}

/// One entry of a legend.
#[derive(Debug, Clone)]
pub(crate) struct Legend {
    pub(crate) class: &'static str,
    pub(crate) name: String,
    /// The value at the position of the read-out; an entry without one never changes.
    pub(crate) value: Option<String>,
}

#[derive(Debug, Clone)]
struct Mark {
    class: &'static str,
    path: String,
}

#[derive(Debug, Clone)]
struct Dot {
    class: &'static str,
    x: String,
    y: String,
}

#[derive(Debug, Clone)]
struct MarkedLine {
    x: String,
    label: String,
    label_x: String,
    anchor: &'static str,
}

/// The stops of the read-out: positions separated by spaces, texts by line breaks, the cells of a
/// text by tabs.
#[derive(Debug, Clone, Default)]
struct Stops {
    places: String,
    texts: String,
}

impl Stops {
    fn push(&mut self, place: f64, cells: &[String]) {
        if !self.places.is_empty() {
            self.places.push(' ');
            self.texts.push('\n');
        }
        self.places.push_str(&coordinate(place));
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.texts.push('\t');
            }
            // A class name may contain the separators.
            let kept = cell.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
            self.texts.extend(kept);
        }
    }
}

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 260.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 44.0;
const RIGHT: f64 = WIDTH - 22.0;
/// Series are thinned to this many columns, about one for every other unit of the view box.
const COLUMNS: usize = 240;

impl Chart {
    const WIDTH: f64 = WIDTH;
    const HEIGHT: f64 = HEIGHT;
    const TOP: f64 = TOP;
    const BOTTOM: f64 = BOTTOM;
    const RIGHT: f64 = RIGHT;
}

fn nothing_finite(heading: &str, skipped: usize) -> Figure {
    let reason = match skipped {
        1 => "The only value is not finite.".into(),
        _ => format!("None of the {} values is finite.", grouped(skipped as f64)),
    };
    Figure { heading: heading.into(), caption: String::new(), drawing: Drawing::Nothing(reason) }
}

fn left_out(skipped: usize) -> String {
    match skipped {
        0 => String::new(),
        1 => "One value is not finite and left out.".into(),
        _ => format!("{} values are not finite and left out.", grouped(skipped as f64)),
    }
}

/// The style of a system's curves; with more than six systems, styles repeat.
fn system(index: usize) -> &'static str {
    ["one", "two", "three", "four", "five", "six"][index % 6]
}

fn written(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Share => format!("{} %", percent(value)),
        Unit::Plain => significant(value),
        Unit::Steps => grouped(value),
    }
}

/// A position in the view box, rounded to a tenth of its unit.
fn coordinate(value: f64) -> String {
    let rounded = format!("{value:.1}");
    match rounded.strip_suffix(".0") {
        Some(whole) => whole.into(),
        None => rounded,
    }
}
