//! Tables of measured figures with bars and intervals, as the page shows them.

use super::length;
use crate::number::{grouped, percent_to, significant};
use crate::parts::{Better, Column, FigureTable, Measured, Quantity};

/// A table as the page shows it.
#[derive(Debug)]
pub(crate) struct TableView<'report> {
    pub(crate) name: &'report str,
    pub(crate) columns: Vec<&'report str>,
    pub(crate) rows: Vec<Row<'report>>,
    /// Whether any value has an interval, so that all rows reserve space for one.
    pub(crate) intervals: bool,
    pub(crate) caption: String,
}

#[derive(Debug)]
pub(crate) struct Row<'report> {
    pub(crate) name: &'report str,
    /// Whether the row is a baseline.
    pub(crate) baseline: bool,
    pub(crate) cells: Vec<Cell>,
}

#[derive(Debug)]
pub(crate) struct Cell {
    /// The column's name, which narrow screens show next to the value.
    pub(crate) column: String,
    pub(crate) value: String,
    pub(crate) best: bool,
    pub(crate) interval: Option<Interval>,
    /// The length of the bar; `None` if the column has no bars.
    pub(crate) length: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Interval {
    pub(crate) text: String,
    /// The start of the interval on the bar; `width` is its width.
    pub(crate) from: String,
    pub(crate) width: String,
}

/// How the values of a column are written; all shares of a table have the same precision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writing {
    quantity: Quantity,
    decimals: usize,
}

impl Writing {
    pub(crate) fn of(table: &FigureTable, column: &Column) -> Self {
        // With one decimal, the two ends of an interval narrower than half a percentage point would
        // be nearly the same.
        let narrow = |[low, high]: [f64; 2]| (high - low).abs() < 0.005;
        let shares = table
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.quantity == Quantity::Share);
        let mut intervals = shares
            .flat_map(|(index, _)| values(table, index))
            .filter_map(|measured| measured.interval);
        let decimals = if intervals.any(narrow) { 2 } else { 1 };
        Self { quantity: column.quantity, decimals }
    }

    pub(crate) fn write(self, value: f64) -> String {
        match self.quantity {
            Quantity::Share => percent_to(value, self.decimals),
            Quantity::Number => significant(value),
            Quantity::Count if value.is_finite() => grouped(value),
            Quantity::Count => "–".into(),
        }
    }

    pub(crate) fn is_share(self) -> bool {
        self.quantity == Quantity::Share
    }

    pub(crate) fn interval(self, measured: &Measured) -> Option<Interval> {
        let [low, high] = measured.interval?;
        (measured.value.is_finite() && low.is_finite() && high.is_finite()).then(|| Interval {
            text: format!("{} – {}", self.write(low), self.write(high)),
            from: length(low),
            width: length(high.clamp(0.0, 1.0) - low.clamp(0.0, 1.0)),
        })
    }
}

/// The values of a column from the first row to the last; "not measured" where a row is too short.
pub(crate) fn values(table: &FigureTable, column: usize) -> impl Iterator<Item = Measured> {
    table.rows.iter().map(move |row| row.values.get(column).copied().unwrap_or_default())
}

/// The best value of a column; `None` if no value is better than another.
pub(crate) fn best(better: Better, values: impl Iterator<Item = f64>) -> Option<f64> {
    let finite = values.filter(|value| value.is_finite());
    match better {
        Better::Higher => finite.reduce(f64::max),
        Better::Lower => finite.reduce(f64::min),
        Better::Neither => None,
    }
}

impl<'report> TableView<'report> {
    /// `None` without rows or columns. If a row is the subject, the others are baselines.
    pub(crate) fn of(table: &'report FigureTable, subject: Option<usize>) -> Option<Self> {
        if table.rows.is_empty() || table.columns.is_empty() {
            return None;
        }
        let mut rows: Vec<Row<'_>> = table
            .rows
            .iter()
            .enumerate()
            .map(|(index, row)| Row {
                name: &row.name,
                baseline: subject.is_some_and(|subject| subject != index),
                cells: Vec::new(),
            })
            .collect();
        for (index, column) in table.columns.iter().enumerate() {
            let writing = Writing::of(table, column);
            let best = best(column.better, values(table, index).map(|measured| measured.value))
                .filter(|_| rows.len() > 1)
                .map(|best| writing.write(best));
            for (row, measured) in rows.iter_mut().zip(values(table, index)) {
                let value = writing.write(measured.value);
                let barred = writing.is_share() && measured.value.is_finite();
                row.cells.push(Cell {
                    column: column.name.clone(),
                    // Rows with the same text are equally good.
                    best: best.as_ref() == Some(&value),
                    interval: writing.interval(&measured),
                    length: barred.then(|| length(measured.value)),
                    value,
                });
            }
        }
        let shares = table.columns.iter().filter(|column| column.quantity == Quantity::Share);
        let all_shares = shares.count() == table.columns.len();
        let caption = caption(&rows, all_shares);
        let mut cells = rows.iter().flat_map(|row| &row.cells);
        let intervals = cells.any(|cell| cell.interval.is_some());
        Some(Self {
            intervals,
            name: table.name.trim(),
            columns: table.columns.iter().map(|column| column.name.as_str()).collect(),
            rows,
            caption,
        })
    }
}

/// Explains the type and the bars of the table, as far as they occur.
fn caption(rows: &[Row<'_>], all_shares: bool) -> String {
    let cells = || rows.iter().flat_map(|row| &row.cells);
    let mut parts = Vec::new();
    if all_shares {
        parts.push("All figures in %.");
    } else if cells().any(|cell| cell.length.is_some()) {
        parts.push("Values with a bar are in %.");
    }
    if cells().any(|cell| cell.best) {
        parts.push("Bold: the best of its column.");
    }
    if cells().any(|cell| cell.interval.is_some()) {
        parts.push(if cells().any(|cell| cell.interval.is_some() && cell.length.is_some()) {
            "Small type and the dark part of a bar: the 95 % bootstrap interval."
        } else {
            "Small type: the 95 % bootstrap interval."
        });
    }
    parts.join(" ")
}
