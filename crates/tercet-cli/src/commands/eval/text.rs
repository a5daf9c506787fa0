//! Formats an evaluation as text.

use std::collections::BTreeSet;
use std::fmt::Write;

use tercet::Census;
use tercet_train::sharing::distinct_names;

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
    let names = shown(&systems.iter().map(|system| &*system.name).collect::<Vec<_>>());
    for (name, verdict) in names.into_iter().zip(verdicts) {
        let name = if alone { String::new() } else { name };
        table.row(std::iter::once(name).chain(verdict.figures.iter().map(cell)));
    }
    table.text()
}

/// The names of systems as they are shown. If all are files of the same name in several folders, these
/// are named: a narrow table would shorten `runs/a-1/model.safetensors` and `runs/a-2/model.safetensors`
/// to the same text.
fn shown(names: &[&str]) -> Vec<String> {
    let path = |name: &str| name.split(" + ").next().unwrap_or_default().to_owned();
    let paths: BTreeSet<String> = names.iter().map(|name| path(name)).collect();
    let files: BTreeSet<&str> =
        paths.iter().filter_map(|path| Some(path.rsplit_once(['/', '\\'])?.1)).collect();
    let all_have_folders = paths.iter().all(|path| path.contains(['/', '\\']));
    let full = || names.iter().map(|&name| name.to_owned()).collect();
    let Some(file) = files.first().filter(|_| files.len() == 1 && all_have_folders) else {
        return full();
    };
    if paths.len() < 2 {
        return full();
    }
    let file = format!("/{file}");
    let names = distinct_names(names.iter().copied());
    names.iter().map(|name| name.replacen(&file, "", 1)).collect()
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
    let pairs = differences.iter().map(|compared| &compared.difference);
    let names: Vec<&str> = pairs.flat_map(|pair| [&*pair.second, &*pair.first]).collect();
    let names = shown(&names);
    for (Compared { figure, difference }, names) in differences.iter().zip(names.chunks_exact(2)) {
        let [low, high] = difference.ci95;
        table.row([
            (*figure).to_owned(),
            names[0].clone(),
            "against".to_owned(),
            names[1].clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_the_same_file_name_are_shown_by_their_folders() {
        let runs = ["runs/a-1/model.safetensors", "/home/ann/a-2/model.safetensors + pca 8"];
        assert_eq!(shown(&runs), ["a-1", "a-2 + pca 8"]);
        let same = ["m/model.safetensors", "m/model.safetensors + pca 8"];
        assert_eq!(shown(&same), same);
        let others = ["runs/a.npy", "runs/b.npy"];
        assert_eq!(shown(&others), others);
        let without = ["model.safetensors", "runs/a/model.safetensors"];
        assert_eq!(shown(&without), without);
    }
}
