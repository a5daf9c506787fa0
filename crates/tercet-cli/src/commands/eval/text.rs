//! Formats an evaluation as text.

use std::fmt::Write;

use tercet::Census;

use super::comparison::Compared;
use super::system::System;
use super::verdict::{Figure, Quantity, Verdict};
use crate::table::{Column, Table, count, number, share};

/// One row per system, one column per figure, with the intervals after the values.
pub(super) fn figures(systems: &[System], verdicts: &[Verdict]) -> String {
    let alone = systems.len() == 1;
    let Some(first) = verdicts.first() else { return String::new() };
    let mut columns = vec![Column::Text];
    columns.resize(1 + first.figures.len(), Column::Left);
    let mut table = Table::new(columns);
    let head = first.figures.iter().map(|figure| figure.name.clone());
    table.row(std::iter::once(String::new()).chain(head));
    for (system, verdict) in systems.iter().zip(verdicts) {
        let name = if alone { String::new() } else { system.name.clone() };
        table.row(std::iter::once(name).chain(verdict.figures.iter().map(cell)));
    }
    table.text()
}

fn cell(figure: &Figure) -> String {
    let write = |value: f64| match figure.quantity {
        _ if !value.is_finite() => "–".to_owned(),
        Quantity::Share | Quantity::Error => share(value),
        Quantity::Distance => number(value),
        Quantity::Count => count(value as usize),
    };
    match figure.interval {
        Some([low, high]) => format!("{} {}–{}", write(figure.value), write(low), write(high)),
        None => write(figure.value),
    }
}

/// The differences between systems and whether they are significant, one line each.
pub(super) fn differences(differences: &[Compared]) -> String {
    if differences.is_empty() {
        return String::new();
    }
    let signed =
        |value: f64| format!("{}{}", if value < 0.0 { '−' } else { '+' }, share(value.abs()));
    let mut table = Table::new([
        Column::Left,
        Column::Text,
        Column::Left,
        Column::Text,
        Column::Left,
        Column::Left,
    ]);
    for Compared { figure, difference } in differences {
        let [low, high] = difference.ci95;
        table.row([
            (*figure).to_owned(),
            difference.second.clone(),
            "against".to_owned(),
            difference.first.clone(),
            format!("{} ({} to {})", signed(difference.difference), signed(low), signed(high)),
            if difference.real { "real" } else { "may be chance" }.to_owned(),
        ]);
    }
    format!(
        "\n\n{}\nPaired over the same queries, 95 % bootstrap intervals; \"real\" holds for all lines of a figure together (Holm).",
        table.text()
    )
}

/// The triplet census of the whole set.
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
