//! Sources of texts: the rows of a table, or files in one folder per class.

mod folder;
mod rows;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::attributes::PART_COLUMNS;
use super::{Attributes, BadItem, Catalogue, Content, DataError, Item, Parts, Text, table};
use crate::printable::exact_name;
use rows::{COLUMNS, Cells};

/// The texts at a path: rows of a file, or files in a folder. Rows and files that cannot be used
/// are bad items.
///
/// The id of a row is its cell `id`, or else its line in the file (in Parquet its number, counted
/// from 1); the id of a file is its path in the folder.
pub(crate) fn catalogue(source: String, path: &Path) -> Result<Catalogue, DataError> {
    match path.is_dir() {
        true => folder::catalogue(source, path),
        false => of_rows(source, path),
    }
}

/// Whether a file or folder that says nothing else about its kind has texts.
pub(crate) fn lies_at(path: &Path) -> bool {
    if path.is_dir() {
        return folder::has_texts(path);
    }
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    match ending.to_str() {
        Some("jsonl" | "ndjson" | "tsv") => true,
        Some("csv") => rows::are_texts(&table::csv_columns(path)),
        Some("parquet") => {
            COLUMNS[..2].iter().all(|name| table::has_column(path, name))
                && !["path", "embedding"].iter().any(|name| table::has_column(path, name))
        }
        _ => false,
    }
}

fn of_rows(source: String, path: &Path) -> Result<Catalogue, DataError> {
    let rows = rows::read(path)?;
    if rows.is_empty() {
        return Err(DataError::Nothing {
            path: path.to_owned(),
            found: "no texts".to_owned(),
            expected: "a row for each text below the names of the columns".to_owned(),
        });
    }
    let file: Arc<Path> = path.into();
    let (mut items, mut classes, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut lines: HashMap<String, u64> = HashMap::new();
    for (line, row) in rows {
        match row.and_then(|cells| of_row(&file, line, cells, &mut lines)) {
            Ok((item, class)) => {
                items.push(item);
                classes.push(class);
            }
            Err(reason) => bad.push(BadItem {
                id: line.to_string(),
                path: format!("{}:{line}", exact_name(path.as_os_str())),
                reason,
            }),
        }
    }
    let labels = classes.into_iter().collect();
    Ok(Catalogue { bad, ..Catalogue::new(source, items, labels) })
}

/// The item of a row and its class. The error says what is wrong with the row.
fn of_row(
    file: &Arc<Path>,
    line: u64,
    cells: Cells,
    lines: &mut HashMap<String, u64>,
) -> Result<(Item, String), String> {
    let [text, label, id, split, query, gallery] = cells;
    let lacking = |column: &str| format!("column `{column}`: it is empty");
    let text = text.ok_or_else(|| lacking("text"))?;
    let label = label.ok_or_else(|| lacking("label"))?;
    let parts = Parts::of_cells([split.as_deref(), query.as_deref(), gallery.as_deref()])
        .map_err(|(column, reason)| format!("column `{column}`: {reason}"))?;
    let id = id.unwrap_or_else(|| line.to_string());
    // An item that occurs twice would be its own neighbour.
    if let Some(first) = lines.insert(id.clone(), line) {
        return Err(format!("column `id`: `{id}` is in line {first} already"));
    }
    let content = Content::Text(Text::new(file.clone(), &text));
    Ok((Item { id, content, attributes: Attributes { parts, ..Attributes::default() } }, label))
}

/// The columns of a table of texts that name parts are those of every table.
const _: () = assert!(COLUMNS.len() == 3 + PART_COLUMNS.len());

#[cfg(test)]
mod tests;
