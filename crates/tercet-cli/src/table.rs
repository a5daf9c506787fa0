//! Formats results as text.

use std::fmt::Write;

use tercet::{Retrieval, Verification};

use crate::terminal::{columns, elided, stdout_width};

/// Number of spaces between two cells.
const GAP: usize = 2;

/// The smallest width in columns to which a text is shortened when a table is too wide.
const LEAST_TEXT: usize = 12;

/// The least width of a first column that is repeated beside a wide one.
const LEAST_FIRST: usize = 4;

/// How the cells of a column are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Aligned to the left; a name, which may be shortened in its middle if the terminal is narrow.
    Text,
    /// Aligned to the left, never shortened.
    Left,
    /// Aligned to the right, never shortened.
    Right,
}

/// A table of cells. An empty first row means that there is no heading.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// The table as text that fits the terminal.
    pub(crate) fn text(&self) -> String {
        self.fitting(stdout_width())
    }

    /// The table with at most `width` columns: first names are shortened in their middle, then the
    /// table is divided into several tables, one after the other, each with the first column.
    /// Columns without any text are left out.
    pub(crate) fn fitting(&self, width: Option<usize>) -> String {
        let cells = |column: usize| self.rows.iter().map(move |row| row[column].as_str());
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|column| cells(column).map(columns).max().unwrap_or(0))
            .collect();
        let Some(limit) = width else { return self.block(&widths, 0..self.columns.len()) };
        self.shrink(&mut widths, limit);
        // Every block contains the first column and at least one other.
        let others = widths[1..].iter().copied().max().unwrap_or(0);
        if self.columns[0] == Column::Text && others > 0 {
            let beside = limit.saturating_sub(GAP + others);
            // A column that is too wide by itself must not make the first one unreadable.
            if beside >= LEAST_FIRST {
                widths[0] = widths[0].min(beside);
            }
        }
        let mut blocks = Vec::new();
        let mut from = 0;
        while from < widths.len() {
            // Every further block repeats the first column.
            let mut used = if from > 0 { widths[0] } else { 0 };
            let mut to = from;
            while to < widths.len() {
                let more = widths[to] + if used > 0 && widths[to] > 0 { GAP } else { 0 };
                if to > from && used + more > limit {
                    break;
                }
                used += more;
                to += 1;
            }
            blocks.push(self.block(&widths, from..to));
            from = to;
        }
        blocks.join("\n\n")
    }

    /// Shortens the widest names until the table fits.
    fn shrink(&self, widths: &mut [usize], limit: usize) {
        let total = |widths: &[usize]| {
            let shown = widths.iter().filter(|&&width| width > 0).count();
            widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
        };
        while total(widths) > limit {
            let names = (0..widths.len()).filter(|&column| {
                self.columns[column] == Column::Text && widths[column] > LEAST_TEXT
            });
            let Some(widest) = names.max_by_key(|&column| widths[column]) else { return };
            widths[widest] -= 1;
        }
    }

    fn block(&self, widths: &[usize], shown: std::ops::Range<usize>) -> String {
        let first = (shown.start > 0).then_some(0);
        let shown: Vec<usize> =
            first.into_iter().chain(shown).filter(|&column| widths[column] > 0).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for &column in &shown {
                let cell = elided(&row[column], widths[column]);
                let padding = " ".repeat(widths[column].saturating_sub(columns(&cell)));
                match self.columns[column] {
                    Column::Right => line += &(padding + &cell),
                    Column::Text | Column::Left => line += &(cell + &padding),
                }
                line += &" ".repeat(GAP);
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Retrieval figures, one row per entry, with their 95 % intervals.
pub(crate) fn retrieval(rows: &[(&str, &Retrieval)]) -> String {
    let figures = ["", "Recall@1", "Recall@5", "R-precision", "MAP@R", "mAP", "MRR"];
    let mut table = Table::new([Column::Left; 7]);
    table.row(figures);
    for (name, judged) in rows {
        let ci95 = &judged.ci95;
        let cells = [
            (judged.recall_at(1), Some(ci95.recall_at_1)),
            (judged.recall_at(5), None),
            (Some(judged.r_precision), Some(ci95.r_precision)),
            (Some(judged.map_at_r), Some(ci95.map_at_r)),
            (Some(judged.map), Some(ci95.map)),
            (Some(judged.mrr), Some(ci95.mrr)),
        ];
        let cell = |(value, interval): (Option<f64>, Option<[f64; 2]>)| {
            let value = value.map_or_else(|| "–".to_owned(), share);
            match interval {
                Some([low, high]) => format!("{value} {}–{}", share(low), share(high)),
                None => value,
            }
        };
        table.row(std::iter::once((*name).to_owned()).chain(cells.map(cell)));
    }
    table.text()
}

/// Verification figures in one line.
pub(crate) fn verification(judged: &Verification) -> String {
    let mut text = format!(
        "accuracy {} ± {}, AUC {}, EER {}",
        share(judged.accuracy.mean),
        share(judged.accuracy.std),
        share(judged.auc),
        share(judged.eer)
    );
    for (far, val) in judged.val_at_far.iter().rev() {
        let _ = write!(text, ", VAL@FAR {far} {}", share(val.val));
    }
    text
}

/// A share in the usual notation: `.953`, and `1.000`.
pub(crate) fn share(value: f64) -> String {
    let text = format!("{value:.3}");
    text.strip_prefix('0').map_or(text.clone(), str::to_owned)
}

/// Any other number: four decimals for moderate values, groups of three digits for thousands, and
/// powers of ten for very large or very small values.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let sign = if value < 0.0 { "-" } else { "" };
    match size {
        0.0 => "0".to_owned(),
        _ if !value.is_finite() => "–".to_owned(),
        _ if !(1e-3..1e7).contains(&size) => format!("{value:.3e}"),
        _ if size < 1e4 => format!("{value:.4}"),
        _ => {
            let tenths = (size * 10.0).round() as usize;
            format!("{sign}{}.{}", count(tenths / 10), tenths % 10)
        }
    }
}

/// 10500 as `10,500`.
pub(crate) fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with the matching noun: `1 group`, `2 groups`.
pub(crate) fn counted(value: usize, one: &str, several: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_the_literature() {
        assert_eq!(
            (share(0.9531), share(1.0), share(0.0)),
            (".953".into(), "1.000".into(), ".000".into())
        );
        assert_eq!(
            (count(7), count(10_500), count(1_234_567)),
            ("7".into(), "10,500".into(), "1,234,567".into())
        );
        assert_eq!(counted(1, "group", "groups"), "1 group");
        assert_eq!(counted(1_000, "group", "groups"), "1,000 groups");
    }

    #[test]
    fn very_large_and_very_small_numbers_can_be_read() {
        for (value, expected) in [
            (0.0, "0"),
            (0.5, "0.5000"),
            (-1.25, "-1.2500"),
            (0.000_034_56, "3.456e-5"),
            (9_999.5, "9999.5000"),
            (-123_456.78, "-123,456.8"),
            (12_345_678.0, "1.235e7"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    fn wide() -> Table {
        let mut table = Table::new([Column::Text, Column::Right, Column::Left, Column::Right]);
        table.row(["", "count", "kind", "share"]);
        table.row(["a class with quite a long name", "7", "photo", ".953"]);
        table.row(["日本語の名前", "12,000", "drawing", "1.000"]);
        table
    }

    #[test]
    fn columns_stand_below_each_other_whatever_the_script() {
        assert_eq!(
            wide().fitting(None),
            "                                 count  kind     share\n\
             a class with quite a long name       7  photo     .953\n\
             日本語の名前                    12,000  drawing  1.000"
        );
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal() {
        for width in 20..60 {
            let text = wide().fitting(Some(width));
            assert!(text.lines().all(|line| columns(line) <= width), "{width}:\n{text}");
        }
        // Every block begins with the column of names.
        let text = wide().fitting(Some(30));
        let blocks: Vec<&str> = text.split("\n\n").collect();
        assert_eq!(blocks.len(), 2, "{text}");
        assert!(blocks.iter().all(|block| block.contains("…ng name")), "{text}");
        assert!(blocks[1].ends_with("1.000"), "{text}");
    }

    #[test]
    fn a_column_wider_than_the_terminal_leaves_the_first_one_readable() {
        let mut table = Table::new([Column::Text, Column::Left]);
        table.row(["name", "reason"]);
        table.row(["photo.png", &"x".repeat(100)]);
        assert!(table.fitting(Some(40)).contains("photo.png"));
    }
}
