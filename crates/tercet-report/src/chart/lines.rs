//! The chart of curves of several systems over one axis: ROC, CMC, precision by recall,
//! calibration.

use super::{Chart, Dot, Drawing, Figure, Frame, Legend, Mark, Stops, coordinate, system, written};
use crate::scale::{Axis, Base, Unit, is_drawable};
use crate::series::thin;

/// The number of stops of the read-out along a continuous axis.
const STOPS: usize = 120;
/// Curves are thinned to this many columns, one for each unit of the view box.
const COLUMNS: usize = 480;

/// A curve: the name of its system and its points from left to right.
#[derive(Debug, Clone)]
pub(super) struct Line<'report> {
    pub(super) name: &'report str,
    pub(super) points: Vec<(f64, f64)>,
}

/// How a curve is read between its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// On a straight line between the two points.
    Straight,
    /// The value of the point to the left.
    Steps,
    /// Not at all: the points are at whole numbers, and the lines only guide the eye.
    Whole,
}

/// A point on the curve of a system that is marked with a ring.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    /// The index of the system.
    pub(super) system: usize,
    pub(super) x: f64,
    pub(super) y: f64,
}

/// Curves and how to draw them.
#[derive(Debug, Clone)]
pub(super) struct Plot<'report> {
    pub(super) heading: &'static str,
    pub(super) across: &'static str,
    pub(super) x: Axis,
    /// Where the vertical axis, which shows shares, may begin.
    pub(super) base: Base,
    pub(super) lines: Vec<Line<'report>>,
    pub(super) reading: Reading,
    pub(super) rings: Vec<Ring>,
    /// Whether to draw the line from (0, 0) to (1, 1), on which correct points lie.
    pub(super) diagonal: bool,
    /// The position that the legend shows until a reader points at the chart, and how to write a
    /// position.
    pub(super) rest: f64,
    pub(super) place: fn(f64) -> String,
    pub(super) caption: String,
}

impl Plot<'_> {
    /// `None` if no point can be drawn.
    pub(super) fn figure(mut self) -> Option<Figure> {
        let steps = self.reading == Reading::Steps;
        for line in &mut self.lines {
            line.points.retain(|(x, y)| is_drawable(*x) && is_drawable(*y));
            line.points.sort_by(|one, other| {
                let place = one.0.total_cmp(&other.0);
                // A step rises to the highest of the points at the same position.
                if steps { place.then(one.1.total_cmp(&other.1)) } else { place }
            });
        }
        self.rings.retain(|ring| is_drawable(ring.x) && is_drawable(ring.y));
        let values = self.lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
        values.clone().next()?;
        let values = values.chain(self.rings.iter().map(|ring| ring.y));
        let frame = Frame::new(self.x.clone(), Axis::of_values(values, Unit::Share, self.base));
        let drawn = || self.lines.iter().enumerate().filter(|(_, line)| !line.points.is_empty());
        let mut marks = Vec::new();
        if self.diagonal {
            let path = frame.path([(0.0, 0.0), (1.0, 1.0)].into_iter());
            marks.push(Mark { class: "diagonal", path });
        }
        marks.extend(
            drawn()
                .map(|(index, line)| Mark { class: system(index), path: self.path(line, &frame) }),
        );
        let mut legend = Vec::new();
        let mut described = Vec::new();
        let when = (self.place)(self.rest);
        for (index, line) in drawn() {
            let value = self.read(line, self.rest);
            described.push(format!("{} {value} at {when}", line.name));
            legend.push(Legend {
                class: system(index),
                name: line.name.into(),
                value: Some(value),
            });
        }
        let mut stops = Stops::default();
        for x in self.stops() {
            let cells: Vec<String> = std::iter::once((self.place)(x))
                .chain(drawn().map(|(_, line)| self.read(line, x)))
                .collect();
            stops.push(frame.across(x), &cells);
        }
        let dots = self.rings.iter().map(|ring| Dot {
            class: system(ring.system),
            x: coordinate(frame.across(ring.x)),
            y: coordinate(frame.up(ring.y)),
        });
        Some(Figure {
            heading: self.heading.into(),
            caption: self.caption.clone(),
            drawing: Drawing::Chart(Box::new(Chart {
                title: self.heading.into(),
                description: format!("{}: {}.", self.heading, described.join("; ")),
                across: self.across,
                marks,
                dots: dots.collect(),
                line: None,
                stops,
                when,
                legend,
                frame,
            })),
        })
    }

    fn path(&self, line: &Line<'_>, frame: &Frame) -> String {
        let placed: Vec<(f64, f64)> =
            line.points.iter().map(|(x, y)| (frame.across(*x), *y)).collect();
        let mut path = String::new();
        let mut before: Option<String> = None;
        for (x, y) in thin(&placed, COLUMNS) {
            let (x, y) = (coordinate(x), coordinate(frame.up(y)));
            match &before {
                None => path.push_str(&format!("M{x},{y}")),
                Some(_) if self.reading == Reading::Steps => path.push_str(&format!("H{x}V{y}")),
                Some(_) => path.push_str(&format!("L{x},{y}")),
            }
            before = Some(x);
        }
        if self.reading == Reading::Steps {
            path.push_str(&format!("H{}", coordinate(frame.across(frame.x.to))));
        }
        path
    }

    fn stops(&self) -> Vec<f64> {
        let mut places: Vec<f64> = if self.reading == Reading::Whole {
            self.lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).collect()
        } else {
            (0..=STOPS).map(|stop| self.x.value_at(stop as f64 / STOPS as f64)).collect()
        };
        places.extend(self.rings.iter().map(|ring| ring.x));
        places.sort_by(f64::total_cmp);
        places.dedup_by(|one, other| (*one - *other).abs() <= other.abs() * 1e-9);
        places
    }

    /// The value of a curve at a position, as text; a dash outside its ends.
    fn read(&self, line: &Line<'_>, x: f64) -> String {
        // The last point of a curve must not be missed because of rounding.
        let at = x + x.abs() * 1e-9;
        let left = line.points.partition_point(|(place, _)| *place <= at).checked_sub(1);
        let right = left.map_or(0, |left| left + 1);
        let value = left.map(|left| line.points[left]).and_then(|before| match self.reading {
            Reading::Steps => Some(before.1),
            Reading::Whole => (x - before.0 < 1e-6).then_some(before.1),
            Reading::Straight => match line.points.get(right) {
                Some(after) if after.0 > before.0 => {
                    let share = ((x - before.0) / (after.0 - before.0)).clamp(0.0, 1.0);
                    Some(before.1 + (after.1 - before.1) * share)
                }
                _ => (x - before.0 <= before.0.abs() * 1e-9).then_some(before.1),
            },
        });
        value.map_or("–".into(), |value| written(value, Unit::Share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(reading: Reading, points: &[(f64, f64)]) -> Plot<'static> {
        Plot {
            heading: "ROC",
            across: "FAR",
            x: Axis::of_rates(points.iter().map(|(x, _)| *x)),
            base: Base::WholeShare,
            lines: vec![Line { name: "system", points: points.to_vec() }],
            reading,
            rings: Vec::new(),
            diagonal: false,
            rest: 0.1,
            place: |x| x.to_string(),
            caption: String::new(),
        }
    }

    #[test]
    fn values_between_points_follow_the_reading() {
        let points = [(0.0, 0.5), (0.1, 0.6), (1.0, 1.0)];
        let read = |reading, x| {
            let plot = plot(reading, &points);
            plot.read(&plot.lines[0], x)
        };
        assert_eq!(read(Reading::Steps, 0.0999), "50.0 %");
        assert_eq!(read(Reading::Steps, 0.1), "60.0 %");
        assert_eq!(read(Reading::Straight, 0.55), "80.0 %");
        assert_eq!(read(Reading::Straight, 1.0), "100.0 %");
        assert_eq!(read(Reading::Whole, 0.55), "–");
        assert_eq!(read(Reading::Whole, 1.0), "100.0 %");
    }

    #[test]
    fn steps_keep_their_corners() {
        let figure = plot(Reading::Steps, &[(0.0, 0.0), (0.1, 0.5), (1.0, 1.0)]).figure().unwrap();
        let Drawing::Chart(chart) = figure.drawing else { panic!("nothing drawn") };
        // The axis is one decade long: 0.1 is at its left end, where the curve rises immediately.
        let path = &chart.marks[0].path;
        assert_eq!(path.matches('V').count(), 2, "{path}");
        assert!(path.ends_with("V12H458"), "{path}");
    }

    #[test]
    fn no_number_no_figure() {
        assert!(plot(Reading::Straight, &[]).figure().is_none());
        assert!(plot(Reading::Straight, &[(f64::NAN, 0.5), (0.5, f64::NAN)]).figure().is_none());
    }
}
