//! Axes with round ticks, which map numbers to positions.

use crate::number::{grouped, raised, short_power_of_ten, signed};

/// The kind of number on an axis, which decides how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A plain number such as a loss or a distance.
    Plain,
    /// A share from 0 to 1, written in percent.
    Share,
    /// A whole number of training steps.
    Steps,
}

/// Where an axis may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// At zero, unless there are negative values.
    Zero,
    /// As close to the lowest value as the ticks allow; at zero if that value is not negative and
    /// below 0.4 of the highest one.
    Free,
    /// At zero; the axis then ends at 1. It is longer only for values outside 0 to 1.
    WholeShare,
}

/// A labelled position on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) value: f64,
    pub(crate) label: String,
}

/// A range of numbers with its ticks; `from` is always below `to`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) ticks: Vec<Tick>,
    /// Whether equal distances on the axis are equal ratios; both ends are then positive.
    logarithmic: bool,
}

/// Larger numbers come from a diverged run; adding or squaring the rest cannot overflow.
const LARGEST: f64 = 1e100;

/// Whether a number can be drawn at all.
pub(crate) fn is_drawable(value: f64) -> bool {
    value.is_finite() && value.abs() < LARGEST
}

impl Axis {
    /// A value axis whose ends are ticks.
    pub(crate) fn of_values(values: impl Iterator<Item = f64>, unit: Unit, base: Base) -> Self {
        let (lowest, highest) = spread(values);
        let (mut from, mut to) = (lowest, highest);
        if base == Base::WholeShare {
            (from, to) = (from.min(0.0), to.max(1.0));
        } else if from >= 0.0 && (base == Base::Zero || from < to * 0.4) {
            from = 0.0;
        }
        (from, to) = widen(from, to);
        let step = round_step((to - from) / 4.0);
        from = (from / step + 1e-6).floor() * step;
        to = (to / step - 1e-6).ceil() * step;
        if unit == Unit::Share {
            // A padded axis must not show impossible shares.
            if lowest >= 0.0 {
                from = from.max(0.0);
            }
            if highest <= 1.0 {
                to = to.min(1.0);
            }
        }
        Self { ticks: ticks(from, to, step, unit), from, to, logarithmic: false }
    }

    /// An axis that ends exactly at its first and last value.
    pub(crate) fn exact(values: impl Iterator<Item = f64>, unit: Unit) -> Self {
        let (mut from, mut to) = spread(values);
        if unit == Unit::Steps && to - from < 1.0 {
            (from, to) = ((from - 1.0).max(from.min(0.0)), to + 1.0);
        }
        (from, to) = widen(from, to);
        let mut step = round_step((to - from) / 5.0);
        if unit == Unit::Steps {
            step = step.max(1.0);
        }
        Self { ticks: ticks(from, to, step, unit), from, to, logarithmic: false }
    }

    /// A logarithmic axis of rates that ends at 1 and begins at the power of ten at or below the
    /// lowest positive value; values of zero are before its beginning.
    pub(crate) fn of_rates(values: impl Iterator<Item = f64>) -> Self {
        const MOST_DECADES: i32 = 12;
        let lowest = values.filter(|value| *value > 0.0 && *value <= 1.0).fold(1.0, f64::min);
        let decades = (-(lowest.log10() + 1e-9).floor() as i32).clamp(1, MOST_DECADES);
        // If there would be more than seven labels, only every other decade has one.
        let stride = if decades > 6 { 2 } else { 1 };
        let ticks = (0..=decades)
            .rev()
            .filter(|power| power % stride == 0)
            .map(|power| Tick { value: 10f64.powi(-power), label: raised(-power) })
            .collect();
        Self { from: 10f64.powi(-decades), to: 1.0, ticks, logarithmic: true }
    }

    /// The position of a value, 0 at the beginning of the axis and 1 at its end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }

    /// The value at a position from 0 to 1.
    pub(crate) fn value_at(&self, place: f64) -> f64 {
        if self.logarithmic {
            self.from * (self.to / self.from).powf(place)
        } else {
            self.from + (self.to - self.from) * place
        }
    }
}

/// The lowest and the highest of the values; 0 and 1 if there are none.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|value| is_drawable(*value))
        .fold(None, |range: Option<(f64, f64)>, value| {
            Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        })
        .unwrap_or((0.0, 1.0))
}

/// Extends a range of which both ends are (nearly) the same.
fn widen(from: f64, to: f64) -> (f64, f64) {
    let size = from.abs().max(to.abs());
    if size < 1e-90 {
        (0.0, 1.0)
    } else if to - from <= size * 1e-9 {
        (from - size * 0.1, to + size * 0.1)
    } else {
        (from, to)
    }
}

/// The next larger of 1, 2, 2.5 and 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|factor| factor * power >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0);
    factor * power
}

fn ticks(from: f64, to: f64, step: f64, unit: Unit) -> Vec<Tick> {
    let first = (from / step - 1e-6).ceil();
    let largest = from.abs().max(to.abs());
    let mut ticks: Vec<Tick> = Vec::new();
    for index in 0..12 {
        let value = (first + f64::from(index)) * step;
        if value > to + step * 1e-6 {
            break;
        }
        let label = match unit {
            Unit::Plain => with_step(value, step, largest),
            Unit::Share => format!("{} %", with_step(value * 100.0, step * 100.0, largest * 100.0)),
            Unit::Steps if to >= 20_000.0 => short_steps(value, step),
            Unit::Steps => grouped(value),
        };
        if ticks.last().is_none_or(|last| last.label != label) {
            ticks.push(Tick { value, label });
        }
    }
    ticks
}

/// The label of a tick on a value axis, with as many decimals as the distance between ticks needs.
fn with_step(value: f64, step: f64, largest: f64) -> String {
    if value.abs() < step * 1e-6 {
        return "0".into();
    }
    let decimals = (0..8).find(|decimals| {
        let scaled = step * 10f64.powi(*decimals);
        scaled > 0.99 && (scaled - scaled.round()).abs() < 1e-6 * scaled
    });
    match decimals {
        Some(decimals) if (1e-3..1e6).contains(&largest) => {
            signed(format!("{value:.*}", decimals.unsigned_abs() as usize))
        }
        _ => short_power_of_ten(value),
    }
}

/// The label of a tick on a long axis of steps: `20k`, `1.5M`, and powers of ten beyond.
fn short_steps(value: f64, step: f64) -> String {
    if value == 0.0 {
        "0".into()
    } else if value >= 1e9 {
        short_power_of_ten(value)
    } else if value >= 1e6 {
        format!("{}M", with_step(value / 1e6, step / 1e6, 1.0))
    } else {
        format!("{}k", with_step(value / 1e3, step / 1e3, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        let axis = Axis::of_values([0.03, 0.97].into_iter(), Unit::Plain, Base::Zero);
        assert_eq!(labels(&axis), ["0", "0.25", "0.50", "0.75", "1.00"]);
        let axis = Axis::of_values([0.2].into_iter(), Unit::Share, Base::WholeShare);
        assert_eq!(labels(&axis), ["0 %", "25 %", "50 %", "75 %", "100 %"]);
        let axis = Axis::exact([0.0, 60_000.0].into_iter(), Unit::Steps);
        assert_eq!(labels(&axis), ["0", "20k", "40k", "60k"]);
        let axis = Axis::of_values([6e-9].into_iter(), Unit::Plain, Base::Zero);
        assert_eq!(labels(&axis), ["0", "2e−9", "4e−9", "6e−9"]);
    }

    #[test]
    fn rates_have_decades() {
        let axis = Axis::of_rates([0.0, 0.004, 0.5, 1.0].into_iter());
        assert_eq!(labels(&axis), ["10⁻³", "10⁻²", "10⁻¹", "1"]);
        assert_eq!(axis.place(0.0), 0.0);
        assert!((axis.place(0.1) - 2.0 / 3.0).abs() < 1e-12);
        assert!((axis.value_at(axis.place(0.03)) - 0.03).abs() < 1e-12);
        assert_eq!(labels(&Axis::of_rates([0.001].into_iter())).len(), 4);
        assert_eq!(labels(&Axis::of_rates([f64::NAN].into_iter())), ["10⁻¹", "1"]);
        assert_eq!(labels(&Axis::of_rates([1e-8].into_iter())).len(), 5);
    }

    #[test]
    fn an_axis_is_never_degenerate() {
        let odd = [0.0, 1.0, -3.5, 1e-300, 1e99, -1e99, f64::NAN, 1e300, 1e-5];
        for unit in [Unit::Plain, Unit::Share, Unit::Steps] {
            for value in odd {
                for base in [Base::Zero, Base::Free, Base::WholeShare] {
                    for axis in [
                        Axis::of_values([value].into_iter(), unit, base),
                        Axis::of_values([value, value + 1e-7].into_iter(), unit, base),
                        Axis::exact([value].into_iter(), unit),
                    ] {
                        assert!(axis.from < axis.to, "{unit:?} {base:?} {value} {axis:?}");
                        assert!(axis.from.is_finite() && axis.to.is_finite());
                        assert!(!axis.ticks.is_empty(), "{unit:?} {base:?} {value} {axis:?}");
                    }
                }
            }
        }
    }
}
