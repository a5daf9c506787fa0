//! Histograms of the distances of pairs, same class against different class.

use std::fmt::Write;

use super::{Chart, Drawing, Figure, Frame, Legend, Mark, MarkedLine, Stops, coordinate, written};
use crate::number::{percent, significant};
use crate::parts::DistanceHistogram;
use crate::scale::{Axis, Base, Unit, is_drawable};

/// Histograms side by side with common axes, so that they can be compared visually.
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
    /// `None` if the range or every bin is empty.
    fn of(raw: &DistanceHistogram) -> Option<Self> {
        const MOST: usize = 240;
        let sound = is_drawable(raw.from) && is_drawable(raw.to) && raw.from < raw.to;
        let merged = |shares: &[f64]| -> Vec<f64> {
            let most = shares.len().div_ceil(MOST).max(1);
            // Only a divisor of the number of bins makes all merged bins equally wide.
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

    /// Where bin number `index` of `count` bins begins.
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
