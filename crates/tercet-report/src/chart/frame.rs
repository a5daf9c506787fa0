//! The area of a chart inside its axes.

use super::{BOTTOM, RIGHT, TOP, coordinate};
use crate::scale::Axis;

/// The area of a chart inside its axes.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    left: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Frame {
    pub(super) fn new(x: Axis, y: Axis) -> Self {
        let widest = y.ticks.iter().map(|tick| tick.label.chars().count()).max();
        let left = (widest.unwrap_or(0) as f64 * 9.0 + 9.0).max(52.0);
        Self { left, x, y }
    }

    pub(super) fn across(&self, value: f64) -> f64 {
        self.left + self.x.place(value) * (RIGHT - self.left)
    }

    pub(super) fn up(&self, value: f64) -> f64 {
        BOTTOM - self.y.place(value) * (BOTTOM - TOP)
    }

    pub(super) fn point(&self, x: f64, y: f64) -> String {
        format!("{},{}", coordinate(self.across(x)), coordinate(self.up(y)))
    }

    pub(super) fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (x, y) in points {
            path.push(if path.is_empty() { 'M' } else { 'L' });
            path.push_str(&self.point(x, y));
        }
        path
    }

    // The template calls the following functions.

    pub(super) fn rows(&self) -> Vec<(String, &str)> {
        let place = |value| coordinate(self.up(value));
        labelled(&self.y, place)
    }

    pub(super) fn columns(&self) -> Vec<(String, &str)> {
        let place = |value| coordinate(self.across(value));
        labelled(&self.x, place)
    }

    pub(super) fn left(&self) -> String {
        coordinate(self.left)
    }
}

fn labelled(axis: &Axis, place: impl Fn(f64) -> String) -> Vec<(String, &str)> {
    axis.ticks.iter().map(|tick| (place(tick.value), tick.label.as_str())).collect()
}
