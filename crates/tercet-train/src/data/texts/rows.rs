//! The rows of a table of texts: CSV, JSON Lines or Parquet.

use std::path::Path;

use csv::{ReaderBuilder, Trim};
use serde_json::{Map, Value};

use crate::data::{DataError, table};
use crate::reading;

/// The columns that are read, in the order of [`Cells`].
pub(super) const COLUMNS: [&str; 6] = ["text", "label", "id", "split", "is_query", "is_gallery"];

/// The number of them that a table must have.
const REQUIRED: usize = 2;

/// The cells of a row; `None` if a cell is empty or the table does not have the column.
pub(super) type Cells = [Option<String>; COLUMNS.len()];

/// A row, or why it cannot be used, with its line in the file; in a Parquet file with its number,
/// counted from 1.
pub(super) type Row = (u64, Result<Cells, String>);

/// The rows of a table, in their order. Files that end in `.parquet` are Parquet, those that end in
/// `.jsonl` or `.ndjson` have an object of JSON in each line, those that end in `.tsv` have tabs
/// between the columns, and all others are CSV.
///
/// # Errors
/// A file that is not text in UTF-8, or lacks a column; rows that cannot be used are no error here.
pub(super) fn read(path: &Path) -> Result<Vec<Row>, DataError> {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    match ending.to_str() {
        Some("parquet") => parquet(path),
        Some("jsonl" | "ndjson") => json_lines(path),
        Some("tsv") => csv(path, b'\t'),
        _ => csv(path, b','),
    }
}

/// Whether the columns of a table are those of texts.
pub(super) fn are_texts(columns: &[String]) -> bool {
    let has = |name: &str| columns.iter().any(|column| column == name);
    COLUMNS[..REQUIRED].iter().all(|name| has(name)) && !has("path")
}

fn parquet(path: &Path) -> Result<Vec<Row>, DataError> {
    let (header, rows) = table::parquet_rows(path, &COLUMNS)?;
    let columns: Vec<&str> = header.iter().collect();
    let places = places(path, &columns, None)?;
    Ok(rows.into_iter().map(|(line, row)| (line, Ok(cells(&places, |at| row.get(at))))).collect())
}

fn csv(path: &Path, delimiter: u8) -> Result<Vec<Row>, DataError> {
    let text = text(path)?;
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let refuse = |error: csv::Error| DataError::Line {
        path: path.to_owned(),
        line: error.position().map_or(1, csv::Position::line),
        reason: error.to_string(),
    };
    let header = reader.headers().map_err(refuse)?.clone();
    let columns: Vec<&str> = header.iter().collect();
    let places = places(path, &columns, Some(1))?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(refuse)?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = match (record.len(), header.len()) {
            (got, expected) if got == expected => Ok(cells(&places, |at| record.get(at))),
            (got, expected) => Err(format!(
                "{got} fields, expected {expected} as in the first line: a text with a comma, a \
                 quote or a line break in it is written between \"quotes\""
            )),
        };
        rows.push((line, row));
    }
    Ok(rows)
}

fn json_lines(path: &Path) -> Result<Vec<Row>, DataError> {
    let text = text(path)?;
    let mut rows = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim().is_empty() {
            continue;
        }
        let object = match serde_json::from_str::<Map<String, Value>>(content) {
            Ok(object) => object,
            Err(error) => {
                let reason = format!("it is no object of JSON: {error}");
                rows.push((line, Err(reason)));
                continue;
            }
        };
        let columns: Vec<&str> = object.keys().map(String::as_str).collect();
        let places = match places(path, &columns, Some(line)) {
            Ok(places) => places,
            // If the first object lacks a column, all of them probably do.
            Err(error) if rows.is_empty() => return Err(error),
            Err(DataError::Line { reason, .. }) => {
                rows.push((line, Err(reason)));
                continue;
            }
            Err(error) => return Err(error),
        };
        let values: Result<Vec<String>, String> = object.iter().map(written).collect();
        rows.push((
            line,
            values.map(|values| cells(&places, |at| values.get(at).map(String::as_str))),
        ));
    }
    Ok(rows)
}

/// A value of JSON as a cell. Values of columns that are not read may be of any kind.
fn written((name, value): (&String, &Value)) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null => Ok(String::new()),
        _ if !COLUMNS.contains(&&**name) => Ok(String::new()),
        Value::Array(_) => Err(format!("`{name}` is a list, expected a text")),
        Value::Object(_) => Err(format!("`{name}` is an object, expected a text")),
    }
}

fn text(path: &Path) -> Result<String, DataError> {
    let bytes = reading::read(path)
        .map_err(|reason| DataError::Unreadable { path: path.to_owned(), reason })?;
    let text = reading::text(&bytes).map(str::to_owned);
    text.map_err(|reason| DataError::Refused { path: path.to_owned(), reason })
}

/// Where each of [`COLUMNS`] is among the columns of a table.
fn places(
    path: &Path,
    columns: &[&str],
    line: Option<u64>,
) -> Result<[Option<usize>; COLUMNS.len()], DataError> {
    let places = COLUMNS.map(|name| columns.iter().position(|column| *column == name));
    let lacking = COLUMNS[..REQUIRED].iter().zip(&places).find(|(_, place)| place.is_none());
    let twice =
        COLUMNS.iter().find(|name| columns.iter().filter(|column| column == name).count() > 1);
    let reason = match (lacking, twice) {
        (Some((lacking, _)), _) => format!(
            "there is no column `{lacking}`, but `{}`; expected {} and optionally {}",
            columns.join(","),
            COLUMNS[..REQUIRED].join(","),
            COLUMNS[REQUIRED..].join(",")
        ),
        (None, Some(twice)) => format!("the column `{twice}` is there twice"),
        (None, None) => return Ok(places),
    };
    Err(match line {
        Some(line) => DataError::Line { path: path.to_owned(), line, reason },
        None => DataError::Refused { path: path.to_owned(), reason },
    })
}

fn cells<'a>(
    places: &[Option<usize>; COLUMNS.len()],
    get: impl Fn(usize) -> Option<&'a str>,
) -> Cells {
    let filled = |place: usize| get(place).filter(|text| !text.is_empty()).map(str::to_owned);
    places.map(|place| place.and_then(filled))
}
