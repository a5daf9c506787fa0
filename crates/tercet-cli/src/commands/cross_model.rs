//! Prints the figures of queries of one model in galleries of another.

use tercet::CrossModel;
use tercet::comparison::Difference;

use crate::table::{self, Column, Table, share};

/// The cases with their names in the text, in the order in which they are printed.
const CASES: [(&str, &str); 5] = [
    ("old_old", "old queries, old gallery"),
    ("new_old", "new queries, old gallery"),
    ("old_new", "old queries, new gallery"),
    ("new_new", "new queries, new gallery"),
    ("new_adapted", "new queries, adapted gallery"),
];

/// The figures of each case, and its difference in MAP@R from old queries in the old gallery.
pub(crate) fn text(measured: &CrossModel) -> String {
    let rows: Vec<_> =
        CASES.iter().filter_map(|&(case, name)| Some((name, measured.table.get(case)?))).collect();
    let mut text = table::retrieval(&rows);
    let mut differences = Table::new([Column::Left; 4]);
    differences.row(["MAP@R against old queries, old gallery", "difference", "95 %", ""]);
    let mut has_any = false;
    for (case, name) in &CASES[1..] {
        let Some(found) = measured.difference("map_at_r", "old_old", case) else { continue };
        has_any = true;
        let [low, high] = found.ci95.map(signed);
        differences.row([
            (*name).to_owned(),
            signed(found.difference),
            format!("{low} to {high}"),
            verdict(found).to_owned(),
        ]);
    }
    if has_any {
        text += &format!("\n\n{}", differences.text());
    }
    text
}

fn verdict(found: &Difference) -> &'static str {
    match (found.real, found.difference > 0.0) {
        (true, true) => "better",
        (true, false) => "worse",
        (false, _) => "no tested difference",
    }
}

/// A difference of shares, with its sign.
fn signed(difference: f64) -> String {
    let sign = if difference < 0.0 { "−" } else { "+" };
    format!("{sign}{}", share(difference.abs()))
}
