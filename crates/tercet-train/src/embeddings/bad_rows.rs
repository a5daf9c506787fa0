//! Rows of embeddings that cannot be used: values that are not finite, or outside single precision.

use std::collections::HashMap;
use std::fmt;

use ndarray::Axis;

use super::Embeddings;

/// Values of double precision that exceed the range of single precision (3.4e38), by their index in
/// the matrix in row order.
#[derive(Debug, Default, PartialEq)]
pub struct OutOfRange {
    pub(crate) numbers: HashMap<usize, f64>,
}

impl OutOfRange {
    /// Converts a value to single precision. If it exceeds the range, it becomes infinite and is
    /// recorded.
    pub fn narrow(&mut self, number: f64, place: usize) -> f32 {
        let narrow = number as f32;
        if narrow.is_infinite() && number.is_finite() {
            self.numbers.insert(place, number);
        }
        narrow
    }
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its index in the file, counted from 0.
    pub row: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.row, self.reason)
    }
}

impl Embeddings {
    /// The rows that cannot be used, in increasing order, each with its first wrong value.
    pub(super) fn bad_rows(&self, beyond: &OutOfRange) -> Vec<BadRow> {
        let columns = self.vectors.ncols();
        let bad = |(row, values): (usize, ndarray::ArrayView1<'_, f32>)| {
            let component = values.iter().position(|value| !value.is_finite())?;
            let reason = match beyond.numbers.get(&(row * columns + component)) {
                Some(number) => format!(
                    "component {component} is {number:e}, beyond single precision (3.4e38): scale \
                     the vectors down"
                ),
                None => format!(
                    "component {component} is {}, expected a finite number",
                    values[component]
                ),
            };
            Some(BadRow { row, reason })
        };
        self.vectors.outer_iter().enumerate().filter_map(bad).collect()
    }

    /// Removes these rows. If rows have no ids, they get their indices in the file as ids, so that
    /// they can still be identified.
    #[must_use]
    pub fn without(self, bad: &[BadRow]) -> Self {
        if bad.is_empty() {
            return self;
        }
        let kept = kept(self.vectors.nrows(), bad);
        let some = |all: Vec<String>| kept.iter().map(|&row| all[row].clone()).collect();
        let numbers = || kept.iter().map(usize::to_string).collect();
        Self {
            vectors: self.vectors.select(Axis(0), &kept),
            labels: self.labels.map(some),
            ids: Some(self.ids.map_or_else(numbers, some)),
            model: self.model,
        }
    }
}

/// The indices of the other rows, in increasing order.
pub(super) fn kept(rows: usize, bad: &[BadRow]) -> Vec<usize> {
    let mut is_bad = vec![false; rows];
    bad.iter().filter(|bad| bad.row < rows).for_each(|bad| is_bad[bad.row] = true);
    (0..rows).filter(|&row| !is_bad[row]).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_that_are_no_numbers_are_left_out_by_their_number_in_the_file() {
        let mut beyond = OutOfRange::default();
        let inf = beyond.narrow(-1e300, 5);
        let embeddings = Embeddings {
            vectors: array![[1.0, 2.0], [f32::NAN, 2.0], [3.0, inf], [5.0, 6.0]],
            labels: Some(["a", "b", "c", "d"].map(str::to_owned).into()),
            ids: None,
            model: None,
        };
        let bad = embeddings.bad_rows(&beyond);
        let told: Vec<String> = bad.iter().map(ToString::to_string).collect();
        assert_eq!(told[0], "row 1: component 0 is NaN, expected a finite number");
        assert!(told[1].starts_with("row 2: component 1 is -1e300, beyond single precision"));
        let good = embeddings.without(&bad);
        assert_eq!(good.vectors, array![[1.0, 2.0], [5.0, 6.0]]);
        assert_eq!(good.labels.unwrap(), ["a", "d"]);
        assert_eq!(good.ids.unwrap(), ["0", "3"]);
    }
}
