//! Tables in CSV or Parquet, whose columns are accessed by name. Errors have line and column.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use super::DataError;
use super::attributes::flag;
use crate::embeddings::parquet;
use crate::reading;

/// A table with named columns, read row by row.
pub(crate) struct Table {
    path: PathBuf,
    rows: Rows,
    header: StringRecord,
}

/// The rows of a table as texts, each with its line in a CSV file, or its row number below the
/// header.
type Rows = std::vec::IntoIter<(u64, StringRecord)>;

/// The longest first line of a CSV file that is read to recognise its kind, in bytes.
const FIRST_LINE: u64 = 1 << 16;

/// One row of a [`Table`].
pub(crate) struct Row<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    record: StringRecord,
    /// Its line in the file, or its row number below the header, counted from 1.
    pub(crate) line: u64,
}

impl Table {
    /// Opens a file that has all `required` columns. Other columns than these and the `optional`
    /// ones are ignored. Files that end in `.parquet` are Parquet, all others CSV.
    pub(crate) fn open(
        path: &Path,
        required: &[&str],
        optional: &[&str],
    ) -> Result<Self, DataError> {
        let is_parquet =
            path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"));
        let (rows, header) = match is_parquet {
            true => open_parquet(path, required, optional)?,
            false => open_csv(path)?,
        };
        let columns: Vec<&str> = header.iter().collect();
        let known = required.iter().chain(optional);
        let twice = known.copied().find(|name| columns.iter().filter(|c| c == &name).count() > 1);
        let lacking = required.iter().find(|name| !columns.contains(name));
        let reason = match (lacking, twice) {
            (Some(lacking), _) => format!(
                "there is no column `{lacking}`{}, but `{}`; expected {}{}",
                if is_parquet { "" } else { " in the first line" },
                columns.join(","),
                required.join(","),
                match optional.is_empty() {
                    true => String::new(),
                    false => format!(" and optionally {}", optional.join(",")),
                }
            ),
            (None, Some(twice)) => format!("the column `{twice}` is there twice"),
            (None, None) => return Ok(Self { path: path.to_owned(), rows, header }),
        };
        Err(match is_parquet {
            true => DataError::Refused { path: path.to_owned(), reason },
            false => DataError::Line { path: path.to_owned(), line: 1, reason },
        })
    }

    /// The next row; `None` after the last.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row<'_>>, DataError> {
        Ok(self.rows.next().map(|(line, record)| Row {
            path: &self.path,
            header: &self.header,
            record,
            line,
        }))
    }
}

fn open_csv(path: &Path) -> Result<(Rows, StringRecord), DataError> {
    let bytes = reading::read(path)
        .map_err(|reason| DataError::Unreadable { path: path.to_owned(), reason })?;
    if let Some(reason) = reading::utf_16(&bytes) {
        return Err(DataError::Refused { path: path.to_owned(), reason });
    }
    let bytes = reading::without_mark(&bytes);
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|error| refuse(path, &error))?.clone();
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|error| refuse(path, &error))?;
        lines.push(record.position().map_or(0, csv::Position::line));
        rows.push(record);
    }
    let rows = without_points(&header, rows);
    Ok((lines.into_iter().zip(rows).collect::<Vec<_>>().into_iter(), header))
}

/// Replaces `2.0` by `2` in every column that contains only such numbers, because pandas writes
/// whole numbers with a point if some are missing. Columns of paths are not changed.
fn without_points(header: &StringRecord, rows: Vec<StringRecord>) -> Vec<StringRecord> {
    let whole = |text: &str| -> Option<usize> {
        let digits = text.strip_suffix(".0")?;
        let number = digits.strip_prefix('-').unwrap_or(digits);
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
            .then_some(digits.len())
    };
    let is_whole = |place: &usize| {
        let cells =
            || rows.iter().filter_map(|row| row.get(*place)).filter(|text| !text.is_empty());
        !header[*place].starts_with("path")
            && cells().next().is_some()
            && cells().all(|text| whole(text).is_some())
    };
    let places: HashSet<usize> = (0..header.len()).filter(is_whole).collect();
    if places.is_empty() {
        return rows;
    }
    let shorter = |(place, text): (usize, &str)| match places.contains(&place) {
        true => text[..whole(text).unwrap_or(text.len())].to_owned(),
        false => text.to_owned(),
    };
    rows.iter().map(|row| row.iter().enumerate().map(shorter).collect()).collect()
}

/// The names of the columns in the first line of a CSV file; empty if there are none.
pub(crate) fn csv_columns(path: &Path) -> Vec<String> {
    let first = reading::open(path).ok().and_then(|(mut file, _)| {
        let bytes = reading::first_bytes(&mut file, FIRST_LINE).ok()?;
        let bytes = reading::without_mark(&bytes).to_owned();
        ReaderBuilder::new().trim(Trim::All).from_reader(&*bytes).headers().ok().cloned()
    });
    first.iter().flatten().map(str::to_owned).collect()
}

/// The rows of a Parquet file as texts: its columns, and each row with its number, counted from 1.
/// The cells of columns that are not `known` are empty.
pub(crate) fn parquet_rows(
    path: &Path,
    known: &[&str],
) -> Result<(StringRecord, Vec<(u64, StringRecord)>), DataError> {
    open_parquet(path, known, &[]).map(|(rows, header)| (header, rows.collect()))
}

/// Whether a Parquet file has a column of this name; false if Parquet is not enabled.
pub(crate) fn has_column(path: &Path, name: &str) -> bool {
    let columns = parquet::files().map(|files| files.columns(path)).unwrap_or_default();
    columns.iter().any(|column| column == name)
}

fn open_parquet(
    path: &Path,
    required: &[&str],
    optional: &[&str],
) -> Result<(Rows, StringRecord), DataError> {
    let refuse = |reason| DataError::Refused { path: path.to_owned(), reason };
    let files = parquet::files().map_err(refuse)?;
    let content = reading::read(path)
        .map_err(|reason| DataError::Unreadable { path: path.to_owned(), reason })?;
    let known: Vec<&str> = required.iter().chain(optional).copied().collect();
    let table = files.table(content, &known).map_err(refuse)?;
    let rows = (1..).zip(table.rows.into_iter().map(StringRecord::from));
    Ok((rows.collect::<Vec<_>>().into_iter(), StringRecord::from(table.header)))
}

impl Row<'_> {
    /// The text in a column; `None` if the column does not exist or the text is empty.
    pub(crate) fn get(&self, column: &str) -> Option<&str> {
        let place = self.header.iter().position(|name| name == column)?;
        self.record.get(place).filter(|text| !text.is_empty())
    }

    /// The text in a column that must not be empty.
    pub(crate) fn required(&self, column: &str) -> Result<&str, DataError> {
        self.get(column).ok_or_else(|| self.lacking(column))
    }

    /// A truth value; `None` if the cell is empty.
    pub(crate) fn flag(&self, column: &str) -> Result<Option<bool>, DataError> {
        let Some(text) = self.get(column) else { return Ok(None) };
        flag(text).map_err(|reason| self.refuse(column, reason))
    }

    /// An error for an empty cell.
    pub(crate) fn lacking(&self, column: &str) -> DataError {
        self.refuse(column, "it is empty".to_owned())
    }

    /// An error for a cell.
    pub(crate) fn refuse(&self, column: &str, reason: String) -> DataError {
        DataError::Line {
            path: self.path.to_owned(),
            line: self.line,
            reason: format!("column `{column}`: {reason}"),
        }
    }
}

fn refuse(path: &Path, error: &csv::Error) -> DataError {
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, expected {expected_len} as in the first line")
        }
        csv::ErrorKind::Utf8 { err, .. } => {
            format!("field {} is no text in UTF-8", err.field() + 1)
        }
        csv::ErrorKind::Io(reason) => reason.to_string(),
        _ => error.to_string(),
    };
    let line = error.position().map_or(1, csv::Position::line);
    DataError::Line { path: path.to_owned(), line, reason }
}
