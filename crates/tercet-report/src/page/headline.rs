//! The figures in large type at the top of a page.

use super::length;
use super::table::{Writing, best, values};
use crate::parts::{Better, FigureTable};

/// One of these figures.
#[derive(Debug)]
pub(crate) struct Headline<'report> {
    pub(crate) name: &'report str,
    pub(crate) value: String,
    pub(crate) unit: &'static str,
    pub(crate) interval: Option<String>,
    /// The values of all rows as marks on a line from 0 to 100 %.
    pub(crate) marks: Vec<HeadlineMark<'report>>,
    /// By how many points the subject is better than the best of the other rows.
    pub(crate) gain: Option<String>,
}

#[derive(Debug)]
pub(crate) struct HeadlineMark<'report> {
    pub(crate) name: &'report str,
    pub(crate) value: String,
    /// The position on the line; `None` if the measure is not a share.
    pub(crate) place: Option<String>,
    pub(crate) subject: bool,
}

/// The figure of the row `subject` in a column, together with those of the other rows; `None` if it
/// was not measured.
pub(crate) fn headline(table: &FigureTable, column: usize, subject: usize) -> Option<Headline<'_>> {
    let measure = table.columns.get(column)?;
    let writing = Writing::of(table, measure);
    let reached = values(table, column).nth(subject).filter(|reached| reached.value.is_finite())?;
    let rows = || table.rows.iter().zip(values(table, column)).enumerate();
    let marks = rows()
        .filter(|(_, (_, measured))| measured.value.is_finite())
        .map(|(index, (row, measured))| HeadlineMark {
            name: &row.name,
            value: writing.write(measured.value),
            place: writing.is_share().then(|| length(measured.value)),
            subject: index == subject,
        })
        .collect();
    let others = || rows().filter(|(index, _)| *index != subject);
    let gain = (measure.better == Better::Higher && writing.is_share())
        .then(|| best(measure.better, others().map(|(_, (_, measured))| measured.value)))
        .flatten()
        .and_then(|best| {
            let (_, (row, _)) = others().find(|(_, (_, measured))| measured.value == best)?;
            let points = (reached.value - best) * 100.0;
            let sign = if points >= 0.0 { "+" } else { "−" };
            Some(format!("{sign}{:.1} points over {}", points.abs(), row.name))
        });
    Some(Headline {
        name: &measure.name,
        value: writing.write(reached.value),
        unit: if writing.is_share() { "%" } else { "" },
        interval: writing.interval(&reached).map(|interval| interval.text),
        marks,
        gain,
    })
}
