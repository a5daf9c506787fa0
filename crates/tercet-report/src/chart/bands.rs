//! The chart of percentile bands over the steps of a run.

use super::{
    COLUMNS, Chart, Dot, Drawing, Figure, Frame, Legend, Mark, Stops, coordinate, left_out,
    nothing_finite,
};
use crate::number::{grouped, significant};
use crate::scale::{Axis, Base, Unit};
use crate::series::{clean_percentiles, thin_percentiles};

/// Percentile bands over steps; `None` if the series is empty.
pub(crate) fn bands(heading: &str, raw: &[(u64, [f64; 5])]) -> Option<Figure> {
    if raw.is_empty() {
        return None;
    }
    let cleaned = clean_percentiles(raw);
    let columns = thin_percentiles(&cleaned.points, COLUMNS);
    let (Some(first), Some(last)) = (columns.first(), columns.last()) else {
        return Some(nothing_finite(heading, cleaned.skipped));
    };
    let ends = [first.first_step, last.last_step];
    let values = columns.iter().flat_map(|column| column.values);
    let frame = Frame::new(
        Axis::exact(ends.into_iter(), Unit::Steps),
        Axis::of_values(values, Unit::Plain, Base::Zero),
    );
    // The first and the last point of a band are at the ends of the run, all others in the middle
    // of their range of steps.
    let last_index = columns.len() - 1;
    let middle = |index: usize| {
        let (from, to) = (columns[index].first_step, columns[index].last_step);
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
            format!("step {}", grouped(column.first_step))
        } else {
            let (from, to) = (column.first_step, column.last_step);
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
            when: format!("step {}", grouped(last.last_step)),
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
