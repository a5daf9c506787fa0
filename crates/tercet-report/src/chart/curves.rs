//! The chart of curves over the steps of a run.

use super::{
    COLUMNS, Chart, Dot, Drawing, Figure, Frame, Legend, Mark, Stops, coordinate, left_out,
    nothing_finite, written,
};
use crate::number::grouped;
use crate::scale::{Axis, Base, Unit};
use crate::series::{clean, smooth, thin};

/// Each point of a series gets a dot if there are at most this many.
const DOTTED: usize = 40;

/// A series to draw: its name in the legend and its values by step.
pub(crate) type Named<'report> = (&'static str, &'report [(u64, f64)]);

/// Curves over steps; `None` if every series is empty.
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
    let Some(last_step) = all().map(|(step, _)| *step).reduce(f64::max) else {
        return Some(nothing_finite(heading, skipped));
    };
    let frame = Frame::new(
        Axis::exact(all().map(|(step, _)| *step), Unit::Steps),
        Axis::of_values(all().map(|(_, value)| *value), unit, base),
    );
    let (mut marks, mut dots, mut legend) = (Vec::new(), Vec::new(), Vec::new());
    let mut described = Vec::new();
    let mut steps = Vec::new();
    for (name, class, cleaned) in &kept {
        let (Some(first), Some(last)) = (cleaned.points.first(), cleaned.points.last()) else {
            continue;
        };
        let thinned = thin(&cleaned.points, COLUMNS);
        let line =
            |class, points: &[(f64, f64)]| Mark { class, path: frame.path(points.iter().copied()) };
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
                    x: coordinate(frame.across(*step)),
                    y: coordinate(frame.up(*value)),
                }));
            }
        }
        described.push(format!(
            "{name} from {} at step {} to {} at step {}",
            written(first.1, unit),
            grouped(first.0),
            written(last.1, unit),
            grouped(last.0),
        ));
        steps.extend(thinned.iter().map(|(step, _)| *step));
    }
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    let mut stops = Stops::default();
    for step in steps {
        let mut cells = vec![format!("step {}", grouped(step))];
        for (_, _, cleaned) in &kept {
            if cleaned.points.is_empty() {
                continue;
            }
            let found = cleaned.points.binary_search_by(|(at, _)| at.total_cmp(&step));
            cells.push(found.map_or("–".into(), |index| written(cleaned.points[index].1, unit)));
        }
        stops.push(frame.across(step), &cells);
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
            when: format!("step {}", grouped(last_step)),
            legend,
        })),
    })
}
