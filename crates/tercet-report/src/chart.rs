//! Charts as inline SVG: curves over steps, percentile bands over steps, and histograms.
//!
//! Colours come from the style sheet of the page, so that charts follow light and dark.

use std::collections::BTreeSet;
use std::fmt::Write;

use askama::Template;

use crate::scale::{Axis, Base, Unit, grouped, percent, significant};
use crate::series::{clean, clean_percentiles, smooth, thin, thin_percentiles};
use crate::training::DistanceHistogram;

/// A chart with its heading and legend, or the reason why there is none.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) heading: String,
    pub(crate) caption: String,
    pub(crate) drawing: Drawing,
}

/// What a figure shows.
#[derive(Debug, Clone)]
pub(crate) enum Drawing {
    Chart(Box<Chart>),
    /// Why there is nothing to draw.
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
    /// The places that the read-out can stand at, and what it says there.
    stops: Stops,
    /// The legend shows the values named by `when` until a reader points at the chart.
    pub(crate) when: String,
    pub(crate) legend: Vec<Legend>,
}

/// One entry of a legend.
#[derive(Debug, Clone)]
pub(crate) struct Legend {
    pub(crate) class: &'static str,
    pub(crate) name: String,
    /// Entries with a value follow the read-out.
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

/// Stops of the read-out: places joined by spaces, texts joined by bars, cells by semicolons.
#[derive(Debug, Clone, Default)]
struct Stops {
    places: String,
    texts: String,
}

impl Stops {
    fn push(&mut self, place: f64, cells: &[String]) {
        if !self.places.is_empty() {
            self.places.push(' ');
            self.texts.push('|');
        }
        self.places.push_str(&coordinate(place));
        self.texts.push_str(&cells.join(";"));
    }
}

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 260.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 44.0;
const RIGHT: f64 = WIDTH - 22.0;
/// Series are thinned to this many columns, about one for every other unit of the view box.
const COLUMNS: usize = 240;
/// Series of up to this many points get a dot for each.
const DOTTED: usize = 40;

/// The area of a chart inside its axes.
#[derive(Debug, Clone)]
struct Frame {
    left: f64,
    x: Axis,
    y: Axis,
}

impl Frame {
    fn new(x: Axis, y: Axis) -> Self {
        let widest = y.ticks.iter().map(|tick| tick.label.chars().count()).max();
        let left = (widest.unwrap_or(0) as f64 * 9.0 + 9.0).max(52.0);
        Self { left, x, y }
    }

    fn across(&self, value: f64) -> f64 {
        self.left + self.x.place(value) * (RIGHT - self.left)
    }

    fn up(&self, value: f64) -> f64 {
        BOTTOM - self.y.place(value) * (BOTTOM - TOP)
    }

    fn point(&self, x: f64, y: f64) -> String {
        format!("{},{}", coordinate(self.across(x)), coordinate(self.up(y)))
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (x, y) in points {
            path.push(if path.is_empty() { 'M' } else { 'L' });
            path.push_str(&self.point(x, y));
        }
        path
    }

    // The template asks for these.

    fn rows(&self) -> Vec<(String, &str)> {
        let place = |value| coordinate(self.up(value));
        labelled(&self.y, place)
    }

    fn columns(&self) -> Vec<(String, &str)> {
        let place = |value| coordinate(self.across(value));
        labelled(&self.x, place)
    }

    fn left(&self) -> String {
        coordinate(self.left)
    }
}

fn labelled(axis: &Axis, place: impl Fn(f64) -> String) -> Vec<(String, &str)> {
    axis.ticks.iter().map(|tick| (place(tick.value), tick.label.as_str())).collect()
}

impl Chart {
    const WIDTH: f64 = WIDTH;
    const HEIGHT: f64 = HEIGHT;
    const TOP: f64 = TOP;
    const BOTTOM: f64 = BOTTOM;
    const RIGHT: f64 = RIGHT;
}

/// A series to draw: its name in the legend and its values by step.
pub(crate) type Named<'report> = (&'static str, &'report [(u64, f64)]);

/// Curves over steps; nothing where every series is empty.
pub(crate) fn curves(
    heading: &str,
    series: &[Named<'_>],
    unit: Unit,
    base: Base,
) -> Option<Figure> {
    const CLASSES: [&str; 2] = ["one", "two"];
    let kept: Vec<_> = series
        .iter()
        .filter(|(_, raw)| !raw.is_empty())
        .zip(CLASSES)
        .map(|((name, raw), class)| (*name, class, clean(raw)))
        .collect();
    if kept.is_empty() {
        return None;
    }
    let skipped = kept.iter().map(|(_, _, cleaned)| cleaned.skipped).sum();
    let all = || kept.iter().flat_map(|(_, _, cleaned)| &cleaned.points);
    let Some(last_step) = all().map(|(step, _)| *step).max() else {
        return Some(nothing_finite(heading, skipped));
    };
    let frame = Frame::new(
        Axis::exact(all().map(|(step, _)| *step as f64), Unit::Steps),
        Axis::of_values(all().map(|(_, value)| *value), unit, base),
    );
    let (mut marks, mut dots, mut legend) = (Vec::new(), Vec::new(), Vec::new());
    let mut described = Vec::new();
    let mut steps = BTreeSet::new();
    for (name, class, cleaned) in &kept {
        let (Some(first), Some(last)) = (cleaned.points.first(), cleaned.points.last()) else {
            continue;
        };
        let thinned = thin(&cleaned.points, COLUMNS);
        let line = |class, points: &[(u64, f64)]| Mark {
            class,
            path: frame.path(points.iter().map(|(step, value)| (*step as f64, *value))),
        };
        let value = Some(written(last.1, unit));
        if let Some(mean) = smooth(&cleaned.points, COLUMNS) {
            let faint = if *class == "one" { "one faint" } else { "two faint" };
            marks.push(line(faint, &thinned));
            marks.push(line(class, &mean));
            legend.extend([
                Legend { class: faint, name: (*name).into(), value },
                Legend { class, name: "running mean".into(), value: None },
            ]);
        } else {
            marks.push(line(class, &thinned));
            legend.push(Legend { class, name: (*name).into(), value });
            if cleaned.points.len() <= DOTTED {
                dots.extend(cleaned.points.iter().map(|(step, value)| Dot {
                    class,
                    x: coordinate(frame.across(*step as f64)),
                    y: coordinate(frame.up(*value)),
                }));
            }
        }
        described.push(format!(
            "{name} from {} at step {} to {} at step {}",
            written(first.1, unit),
            grouped(first.0 as f64),
            written(last.1, unit),
            grouped(last.0 as f64),
        ));
        steps.extend(thinned.iter().map(|(step, _)| *step));
    }
    let mut stops = Stops::default();
    for step in steps {
        let mut cells = vec![format!("step {}", grouped(step as f64))];
        for (_, _, cleaned) in &kept {
            if cleaned.points.is_empty() {
                continue;
            }
            let found = cleaned.points.binary_search_by_key(&step, |(step, _)| *step);
            cells.push(found.map_or("–".into(), |index| written(cleaned.points[index].1, unit)));
        }
        stops.push(frame.across(step as f64), &cells);
    }
    Some(Figure {
        heading: heading.into(),
        caption: left_out(skipped),
        drawing: Drawing::Chart(Box::new(Chart {
            title: format!("{heading} by step"),
            description: format!("{heading} by step: {}.", described.join("; ")),
            frame,
            across: "step",
            marks,
            dots,
            line: None,
            stops,
            when: format!("step {}", grouped(last_step as f64)),
            legend,
        })),
    })
}

/// Percentile bands over steps; nothing where the series is empty.
pub(crate) fn bands(heading: &str, raw: &[(u64, [f64; 5])]) -> Option<Figure> {
    if raw.is_empty() {
        return None;
    }
    let cleaned = clean_percentiles(raw);
    let columns = thin_percentiles(&cleaned.points, COLUMNS);
    let (Some(first), Some(last)) = (columns.first(), columns.last()) else {
        return Some(nothing_finite(heading, cleaned.skipped));
    };
    let ends = [first.first_step as f64, last.last_step as f64];
    let values = columns.iter().flat_map(|column| column.values);
    let frame = Frame::new(
        Axis::exact(ends.into_iter(), Unit::Steps),
        Axis::of_values(values, Unit::Plain, Base::Zero),
    );
    // The ends of the bands stand at the ends of the run, all others in the middle of their steps.
    let last_index = columns.len() - 1;
    let middle = |index: usize| {
        let (from, to) = (columns[index].first_step as f64, columns[index].last_step as f64);
        match index {
            0 => from,
            _ if index == last_index => to,
            _ => from + (to - from) / 2.0,
        }
    };
    let edge = |percentile: usize| -> Vec<(f64, f64)> {
        let places = columns.iter().enumerate();
        places.map(|(index, column)| (middle(index), column.values[percentile])).collect()
    };
    let area = |low: usize, high: usize| {
        let mut outline = frame.path(edge(low).into_iter().chain(edge(high).into_iter().rev()));
        outline.push('Z');
        outline
    };
    let line = |percentile: usize| frame.path(edge(percentile).into_iter());
    let mut dots = Vec::new();
    if columns.len() == 1 {
        // A band over a single step has no area; its five values are dots.
        dots.extend(edges_of(first.values).map(|(class, value)| Dot {
            class,
            x: coordinate(frame.across(middle(0))),
            y: coordinate(frame.up(value)),
        }));
    }
    let cells = |values: [f64; 5]| {
        let [lowest, low, median, high, highest] = values.map(significant);
        [median, format!("{low} – {high}"), format!("{lowest} – {highest}")]
    };
    let mut stops = Stops::default();
    for (index, column) in columns.iter().enumerate() {
        let when = if column.first_step == column.last_step {
            format!("step {}", grouped(column.first_step as f64))
        } else {
            let (from, to) = (column.first_step as f64, column.last_step as f64);
            format!("steps {} – {}", grouped(from), grouped(to))
        };
        let [median, inner, outer] = cells(column.values);
        stops.push(frame.across(middle(index)), &[when, median, inner, outer]);
    }
    let [median, inner, outer] = cells(last.values);
    let description = format!(
        "{heading} by step: median from {} to {median}; at the end, 90 % lie within {inner} and \
         all within {outer}.",
        significant(first.values[2]),
    );
    let legend = [("one", "median", median), ("band", "5 – 95 %", inner), ("thin", "all", outer)];
    Some(Figure {
        heading: heading.into(),
        caption: left_out(cleaned.skipped),
        drawing: Drawing::Chart(Box::new(Chart {
            title: format!("{heading} by step"),
            description,
            across: "step",
            marks: vec![
                Mark { class: "band", path: area(1, 3) },
                Mark { class: "thin", path: line(0) },
                Mark { class: "thin", path: line(4) },
                Mark { class: "one", path: line(2) },
            ],
            dots,
            line: None,
            stops,
            when: format!("step {}", grouped(last.last_step as f64)),
            legend: legend
                .into_iter()
                .map(|(class, name, value)| Legend { class, name: name.into(), value: Some(value) })
                .collect(),
            frame,
        })),
    })
}

fn edges_of(values: [f64; 5]) -> impl Iterator<Item = (&'static str, f64)> {
    ["thin", "one", "one", "one", "thin"].into_iter().zip(values)
}

/// Histograms side by side with common axes, so that they can be compared by eye.
pub(crate) fn histograms(raw: &[DistanceHistogram], threshold: Option<f64>) -> Vec<Figure> {
    let all: Vec<Option<Bins>> = raw.iter().map(Bins::of).collect();
    let drawn = || all.iter().flatten();
    let x = Axis::exact(drawn().flat_map(|bins| [bins.from, bins.to]), Unit::Plain);
    let shares = drawn().flat_map(|bins| bins.same.iter().chain(&bins.different).copied());
    let y = Axis::of_values(shares, Unit::Share, Base::Zero);
    let last = raw.len().saturating_sub(1);
    let threshold = threshold.filter(|threshold| threshold.is_finite());
    raw.iter()
        .zip(&all)
        .enumerate()
        .map(|(index, (histogram, bins))| match bins {
            Some(bins) => {
                let frame = Frame::new(x.clone(), y.clone());
                bins.figure(&histogram.name, frame, threshold.filter(|_| index == last))
            }
            None => Figure {
                heading: histogram.name.clone(),
                caption: String::new(),
                drawing: Drawing::Nothing("No distances were counted.".into()),
            },
        })
        .collect()
}

/// The bins of a histogram, few enough to be drawn.
struct Bins {
    from: f64,
    to: f64,
    same: Vec<f64>,
    different: Vec<f64>,
}

impl Bins {
    /// Nothing where the range or every bin is empty.
    fn of(raw: &DistanceHistogram) -> Option<Self> {
        const MOST: usize = 240;
        let sound = crate::scale::is_drawable(raw.from)
            && crate::scale::is_drawable(raw.to)
            && raw.from < raw.to;
        let merged = |shares: &[f64]| -> Vec<f64> {
            let most = shares.len().div_ceil(MOST).max(1);
            // Only a divisor of the number of bins keeps all of them equally wide.
            let width = (most..=shares.len()).find(|width| shares.len().is_multiple_of(*width));
            shares
                .chunks(width.unwrap_or(1))
                .map(|bins| bins.iter().filter(|share| **share > 0.0 && **share <= 1.0).sum())
                .collect()
        };
        let (same, different) = (merged(&raw.same), merged(&raw.different));
        let counted = same.iter().chain(&different).any(|share| *share > 0.0);
        (sound && counted).then_some(Self { from: raw.from, to: raw.to, same, different })
    }

    /// Where the bin of this index begins, of so many bins.
    fn edge(&self, index: usize, count: usize) -> f64 {
        self.from + (self.to - self.from) * (index as f64 / count as f64)
    }

    fn mean(&self, shares: &[f64]) -> f64 {
        let half = (self.to - self.from) / shares.len() as f64 / 2.0;
        let weighted = shares.iter().enumerate();
        let sum: f64 =
            weighted.map(|(index, share)| share * (self.edge(index, shares.len()) + half)).sum();
        sum / shares.iter().sum::<f64>()
    }

    fn area(&self, shares: &[f64], frame: &Frame) -> String {
        let floor = coordinate(frame.up(0.0));
        let mut path = format!("M{},{floor}", coordinate(frame.across(self.from)));
        for (index, share) in shares.iter().enumerate() {
            let height = coordinate(frame.up(*share));
            let end = coordinate(frame.across(self.edge(index + 1, shares.len())));
            // Writing to a string cannot fail.
            let _ = write!(path, "V{height}H{end}");
        }
        path.push('V');
        path.push_str(&floor);
        path
    }

    fn figure(&self, name: &str, frame: Frame, threshold: Option<f64>) -> Figure {
        let kinds =
            [("near", "same class", &self.same), ("far", "different class", &self.different)];
        let (mut marks, mut legend, mut described) = (Vec::new(), Vec::new(), Vec::new());
        for (class, kind, shares) in kinds {
            if shares.iter().any(|share| *share > 0.0) {
                let mean = significant(self.mean(shares));
                marks.push(Mark { class, path: self.area(shares, &frame) });
                described.push(format!("{kind}, mean distance {mean}"));
                legend.push(Legend { class, name: kind.into(), value: Some(mean) });
            }
        }
        let mut stops = Stops::default();
        let count = self.same.len().max(self.different.len());
        for index in 0..count {
            let (from, to) = (self.edge(index, count), self.edge(index + 1, count));
            let mut cells = vec![format!("{} – {}", significant(from), significant(to))];
            for (_, _, shares) in kinds {
                if shares.len() == count && shares.iter().any(|share| *share > 0.0) {
                    cells.push(written(shares[index], Unit::Share));
                } else if shares.iter().any(|share| *share > 0.0) {
                    cells.push("–".into());
                }
            }
            stops.push(frame.across(f64::midpoint(from, to)), &cells);
        }
        let mut caption = String::new();
        if self.same.len() == self.different.len() {
            let pairs = self.same.iter().zip(&self.different);
            let overlap: f64 = pairs.map(|(same, different)| same.min(*different)).sum();
            caption = format!("The two overlap in {} % of their area.", percent(overlap));
        }
        let line = threshold.and_then(|threshold| {
            let label = format!("threshold {}", significant(threshold));
            if threshold < frame.x.from || threshold > frame.x.to {
                caption.push_str(&format!(" The {label} lies outside the chart."));
                return None;
            }
            let x = frame.across(threshold);
            let before = frame.x.place(threshold) > 0.5;
            Some(MarkedLine {
                x: coordinate(x),
                label,
                label_x: coordinate(if before { x - 6.0 } else { x + 6.0 }),
                anchor: if before { "end" } else { "start" },
            })
        });
        if let Some(line) = &line {
            described.push(line.label.clone());
        }
        Figure {
            heading: name.into(),
            caption: caption.trim().into(),
            drawing: Drawing::Chart(Box::new(Chart {
                title: format!("Distances, {name}"),
                description: format!("Distances of pairs, {name}: {}.", described.join("; ")),
                frame,
                across: "distance",
                marks,
                dots: Vec::new(),
                line,
                stops,
                when: "mean distance".into(),
                legend,
            })),
        }
    }
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

fn written(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Share => format!("{} %", percent(value)),
        Unit::Plain => significant(value),
        Unit::Steps => grouped(value),
    }
}

/// A place in the view box, to a tenth of its unit.
fn coordinate(value: f64) -> String {
    let rounded = format!("{value:.1}");
    match rounded.strip_suffix(".0") {
        Some(whole) => whole.into(),
        None => rounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(figure: &Figure) -> String {
        match &figure.drawing {
            Drawing::Chart(chart) => chart.render().unwrap(),
            Drawing::Nothing(reason) => panic!("nothing drawn: {reason}"),
        }
    }

    fn loss(points: &[(u64, f64)]) -> Option<Figure> {
        curves("Loss", &[("loss", points)], Unit::Plain, Base::Zero)
    }

    #[test]
    fn an_empty_series_has_no_figure() {
        assert!(loss(&[]).is_none());
        assert!(bands("Norms", &[]).is_none());
        assert!(histograms(&[], None).is_empty());
    }

    #[test]
    fn a_series_without_finite_values_says_so() {
        let figure = loss(&[(0, f64::NAN), (1, f64::INFINITY)]).unwrap();
        let Drawing::Nothing(reason) = figure.drawing else { panic!("drawn") };
        assert_eq!(reason, "None of the 2 values is finite.");
        assert!(matches!(
            bands("Norms", &[(0, [f64::NAN; 5])]).unwrap().drawing,
            Drawing::Nothing(_)
        ));
    }

    #[test]
    fn odd_series_draw_numbers_only() {
        let series: [&[(u64, f64)]; 6] = [
            &[(5, 0.3)],
            &[(0, 0.0)],
            &[(0, 2.0), (10, 2.0), (20, 2.0)],
            &[(u64::MAX, 1.0), (0, -1e99)],
            &[(3, 1.0), (3, 2.0)],
            &[(0, 1.0), (1, f64::NAN), (2, 3.0)],
        ];
        for points in series {
            let svg = drawn(&loss(points).unwrap());
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            let bands = bands("Norms", &points.iter().map(|p| (p.0, [p.1; 5])).collect::<Vec<_>>());
            let svg = drawn(&bands.unwrap());
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn long_series_stay_small() {
        let points: Vec<(u64, f64)> = (0..100_000).map(|i| (i, (i as f64).sin())).collect();
        assert!(drawn(&loss(&points).unwrap()).len() < 60_000);
    }

    #[test]
    fn histograms_share_their_axes_and_survive_nonsense() {
        let histogram = |from, to, same: &[f64], different: &[f64]| DistanceHistogram {
            name: "after".into(),
            from,
            to,
            same: same.to_vec(),
            different: different.to_vec(),
        };
        let figures = histograms(
            &[
                histogram(0.0, 1.0, &[], &[]),
                histogram(1.0, 1.0, &[1.0], &[1.0]),
                histogram(f64::NAN, 1.0, &[1.0], &[1.0]),
                histogram(0.0, 2.0, &[1.0, f64::NAN], &[0.25, 0.75]),
                histogram(0.0, 1.0, &[1.0], &[]),
            ],
            Some(9.0),
        );
        assert!(matches!(figures[0].drawing, Drawing::Nothing(_)));
        assert!(matches!(figures[1].drawing, Drawing::Nothing(_)));
        assert!(matches!(figures[2].drawing, Drawing::Nothing(_)));
        assert!(figures[3].caption.contains("25.0 %"));
        assert!(figures[4].caption.contains("outside"));
        for figure in &figures[3..] {
            assert!(!drawn(figure).contains("NaN"));
        }
    }
}
