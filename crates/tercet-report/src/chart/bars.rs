//! Bar charts: the classes from worst to best, and the errors of runs.

use super::{Chart, Drawing, Figure, Frame, Legend, Mark, Stops, coordinate, system, written};
use crate::evaluation::{ClassFigure, OneShot};
use crate::number::{grouped, percent};
use crate::scale::{Axis, Base, Unit, is_drawable};

/// With more classes than this, the read-out stops only at some of them.
const STOPS: usize = 240;
/// Longer names are shortened in the read-out.
const LONGEST_NAME: usize = 24;

/// The classes as bars from the worst to the best; `None` if there are fewer than two.
pub(crate) fn class_bars(measure: &str, worst_first: &[&ClassFigure]) -> Option<Figure> {
    let (first, last) = match worst_first {
        [first, .., last] => (first, last),
        _ => return None,
    };
    let count = worst_first.len();
    let values = || worst_first.iter().map(|class| class.value);
    let frame = Frame::new(
        Axis::exact([0.0, count as f64].into_iter(), Unit::Steps),
        Axis::of_values(values(), Unit::Share, Base::WholeShare),
    );
    let floor = coordinate(frame.up(0.0));
    let mut path = format!("M{},{floor}", coordinate(frame.across(0.0)));
    let mut stops = Stops::default();
    // Bars narrower than one unit of the view box could not be distinguished.
    let stride = count.div_ceil(480);
    let leap = count.div_ceil(STOPS);
    for (index, class) in worst_first.iter().enumerate() {
        if index % stride == 0 || index + 1 == count {
            let end = frame.across((index + stride).min(count) as f64);
            path.push_str(&format!("V{}H{}", coordinate(frame.up(class.value)), coordinate(end)));
        }
        if index % leap == 0 || index + 1 == count {
            let name: String = if class.name.chars().count() > LONGEST_NAME {
                class.name.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
            } else {
                class.name.clone()
            };
            let place = format!("{}.", grouped((index + 1) as f64));
            stops.push(
                frame.across(index as f64 + 0.5),
                &[format!("{place} {name}"), written(class.value, Unit::Share)],
            );
        }
    }
    path.push('V');
    path.push_str(&floor);
    let median = if count % 2 == 1 {
        worst_first[count / 2].value
    } else {
        f64::midpoint(worst_first[count / 2 - 1].value, worst_first[count / 2].value)
    };
    Some(Figure {
        heading: format!("{measure} by class"),
        caption: format!(
            "Classes from the worst, {} %, to the best, {} %.",
            percent(first.value),
            percent(last.value)
        ),
        drawing: Drawing::Chart(Box::new(Chart {
            title: format!("{measure} by class"),
            description: format!(
                "{measure} of {} classes: from {} to {}, median {}.",
                grouped(count as f64),
                written(first.value, Unit::Share),
                written(last.value, Unit::Share),
                written(median, Unit::Share),
            ),
            across: "classes, worst first",
            marks: vec![Mark { class: "near", path }],
            dots: Vec::new(),
            line: None,
            stops,
            when: "median".into(),
            legend: vec![Legend {
                class: "near",
                name: measure.into(),
                value: Some(written(median, Unit::Share)),
            }],
            frame,
        })),
    })
}

/// The error of each run, with the mean as a line; `None` if there are no runs.
pub(crate) fn run_bars(systems: &[OneShot]) -> Option<Figure> {
    let sound = |error: &f64| is_drawable(*error);
    let runs = systems.iter().map(|system| system.errors.len()).max().filter(|runs| *runs > 0)?;
    let mut all =
        systems.iter().flat_map(|system| &system.errors).copied().filter(sound).peekable();
    all.peek()?;
    let frame = Frame::new(
        Axis::exact([0.5, runs as f64 + 0.5].into_iter(), Unit::Steps),
        Axis::of_values(all, Unit::Share, Base::Zero),
    );
    let floor = coordinate(frame.up(0.0));
    let (mut marks, mut means, mut legend, mut described) = (vec![], vec![], vec![], vec![]);
    // The bars of a run use four fifths of its width, divided among the systems.
    let width = 0.8 / systems.len() as f64;
    for (index, one_shot) in systems.iter().enumerate() {
        let errors: Vec<f64> = one_shot.errors.iter().copied().filter(sound).collect();
        if errors.is_empty() {
            continue;
        }
        let mut path = String::new();
        for (run, error) in one_shot.errors.iter().enumerate() {
            if !sound(error) {
                continue;
            }
            let left = run as f64 + 0.6 + width * index as f64;
            let (from, to) = (frame.across(left), frame.across(left + width));
            let (from, to, top) = (coordinate(from), coordinate(to), coordinate(frame.up(*error)));
            path.push_str(&format!("M{from},{floor}V{top}H{to}V{floor}Z"));
        }
        marks.push(Mark { class: bar(index), path });
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        means.push(Mark {
            class: system(index),
            path: frame.path([(frame.x.from, mean), (frame.x.to, mean)].into_iter()),
        });
        described.push(format!("{} mean error {}", one_shot.name, written(mean, Unit::Share)));
        legend.push(Legend {
            class: system(index),
            name: one_shot.name.clone(),
            value: Some(written(mean, Unit::Share)),
        });
    }
    let mut stops = Stops::default();
    for run in 0..runs {
        let drawn = systems.iter().filter(|system| system.errors.iter().any(sound));
        let errors = drawn.map(|system| {
            let error = system.errors.get(run).copied().filter(sound);
            error.map_or("–".into(), |error| written(error, Unit::Share))
        });
        let cells: Vec<String> =
            std::iter::once(format!("run {}", run + 1)).chain(errors).collect();
        stops.push(frame.across(run as f64 + 1.0), &cells);
    }
    Some(Figure {
        heading: "One-shot error by run".into(),
        caption: "Bars: single runs. Line: their mean.".into(),
        drawing: Drawing::Chart(Box::new(Chart {
            title: "One-shot error by run".into(),
            description: format!(
                "One-shot error over {} runs: {}.",
                grouped(runs as f64),
                described.join("; ")
            ),
            across: "run",
            marks: marks.into_iter().chain(means).collect(),
            dots: Vec::new(),
            line: None,
            stops,
            when: "mean".into(),
            legend,
            frame,
        })),
    })
}

fn bar(index: usize) -> &'static str {
    ["bar one", "bar two", "bar three", "bar four", "bar five", "bar six"][index % 6]
}
