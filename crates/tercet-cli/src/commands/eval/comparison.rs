//! Which differences between systems are significant.

use serde::Serialize;
use tercet::comparison::{Difference, RESAMPLES, Scores, compare};

use super::system::System;
use super::verdict::Verdict;

/// The difference of two systems in one figure.
#[derive(Serialize)]
pub(super) struct Compared {
    pub(super) figure: &'static str,
    #[serde(flatten)]
    pub(super) difference: Difference,
}

/// The differences of every two systems in every figure that is computed per query; empty for a
/// single system, and for protocols without such figures.
pub(super) fn differences(
    systems: &[System],
    verdicts: &[Verdict],
    seed: u64,
) -> anyhow::Result<Vec<Compared>> {
    let judged: Option<Vec<_>> = verdicts.iter().map(|verdict| verdict.scores.as_ref()).collect();
    let Some(judged) = judged else { return Ok(Vec::new()) };
    let (Some(first), true) = (judged.first(), judged.len() > 1) else { return Ok(Vec::new()) };
    if !are_comparable(systems) {
        return Ok(Vec::new());
    }
    let mut compared = Vec::new();
    for (place, &(figure, _)) in first.by_figure.iter().enumerate() {
        let scores: Vec<(&str, &Scores)> = systems
            .iter()
            .zip(&judged)
            .map(|(system, judged)| (system.name.as_str(), &judged.by_figure[place].1))
            .collect();
        let found = compare(&scores, &first.classes, RESAMPLES, seed)?;
        compared.extend(found.into_iter().map(|difference| Compared { figure, difference }));
    }
    Ok(compared)
}

/// Whether the queries of all systems have the same classes in the same order: only then can they
/// be paired.
pub(super) fn are_comparable(systems: &[System]) -> bool {
    let classes = |system: &System| -> Vec<String> {
        let of_row = |row: u32| system.class(row).to_owned();
        match &system.search {
            None => (0..system.labels.len() as u32).map(of_row).collect(),
            Some(search) => search.queries.iter().map(|&row| of_row(row)).collect(),
        }
    };
    let Some((first, others)) = systems.split_first() else { return true };
    let first = classes(first);
    others.iter().all(|other| classes(other) == first)
}
