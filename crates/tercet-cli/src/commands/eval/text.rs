//! An evaluation as a person reads it.

use std::fmt::Write;

use tercet::Census;

use super::comparison::Compared;
use super::system::System;
use super::verdict::{Figure, Quantity, Verdict};
use crate::table::{count, share};

/// Columns between two figures.
const GAP: usize = 2;

/// A row a system, a column a figure, intervals behind the values.
pub(super) fn figures(systems: &[System], verdicts: &[Verdict]) -> String {
    let alone = systems.len() == 1;
    let mut rows: Vec<Vec<String>> = Vec::new();
    if let Some(first) = verdicts.first() {
        let head = first.figures.iter().map(|figure| figure.name.clone());
        rows.push(std::iter::once(String::new()).chain(head).collect());
    }
    for (system, verdict) in systems.iter().zip(verdicts) {
        let name = if alone { String::new() } else { system.name.clone() };
        rows.push(std::iter::once(name).chain(verdict.figures.iter().map(cell)).collect());
    }
    aligned(&rows)
}

fn cell(figure: &Figure) -> String {
    let write = |value: f64| match figure.quantity {
        _ if !value.is_finite() => "–".to_owned(),
        Quantity::Share | Quantity::Error => share(value),
        Quantity::Distance => format!("{value:.4}"),
        Quantity::Count => count(value as usize),
    };
    match figure.interval {
        Some([low, high]) => format!("{} {}–{}", write(figure.value), write(low), write(high)),
        None => write(figure.value),
    }
}

/// Rows whose columns stand below each other; an empty first column is left out.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut lines = Vec::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            let padding = width - cell.chars().count() + GAP;
            line += cell;
            line.extend(std::iter::repeat_n(' ', padding));
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// Which differences are real, a line each.
pub(super) fn differences(differences: &[Compared]) -> String {
    if differences.is_empty() {
        return String::new();
    }
    let signed =
        |value: f64| format!("{}{}", if value < 0.0 { '−' } else { '+' }, share(value.abs()));
    let rows: Vec<Vec<String>> = differences
        .iter()
        .map(|Compared { figure, difference }| {
            let [low, high] = difference.ci95;
            vec![
                (*figure).to_owned(),
                format!("{} against {}", difference.second, difference.first),
                format!("{} ({} to {})", signed(difference.difference), signed(low), signed(high)),
                if difference.real { "real" } else { "may be chance" }.to_owned(),
            ]
        })
        .collect();
    format!(
        "\n\n{}\nPaired over the same queries, 95 % bootstrap intervals; \"real\" holds for all lines of a figure together (Holm).",
        aligned(&rows)
    )
}

/// The triplets of the whole set.
pub(super) fn census(name: &str, census: &Census) -> String {
    let number = |value: u64| count(value as usize);
    let mut text = String::new();
    let _ = write!(
        text,
        "\n\ntriplets of {name}: {} valid, {} active, {} violated",
        number(census.triplets),
        number(census.active),
        number(census.violated)
    );
    text
}
