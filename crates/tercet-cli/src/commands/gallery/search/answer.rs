//! The results of a search, as a document and as a table.

use std::fmt::Write;

use serde::Serialize;
use tercet_gallery::Hit;
use tercet_train::decision::{Basis, Decision, KNOWN_SHARE};

use super::super::filling::TEXT;
use crate::table::{count, share};

/// The largest number of characters of a text that a table shows.
const WIDEST_TEXT: usize = 60;

/// The largest width of the column of classes.
const WIDEST_CLASS: usize = 20;

/// A query and its results.
#[derive(Serialize)]
pub(super) struct Found {
    query: String,
    /// The class of the query, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// Whether any item of the gallery is the same; null without a threshold.
    known: Option<bool>,
    /// The class of the nearest item that is the same.
    suggested: Option<String>,
    hits: Vec<Judged>,
}

#[derive(Serialize)]
struct Judged {
    #[serde(flatten)]
    hit: Hit,
    /// Whether it is nearer than the threshold, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    same: Option<bool>,
    /// The probability that it is the same, if there is a calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// Whether its label differs from the class of the query; left out unless both are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_class: Option<bool>,
}

impl Found {
    pub(super) fn new(
        query: String,
        class: Option<String>,
        hits: Vec<Hit>,
        decision: &Decision,
    ) -> Self {
        let judge = |hit: Hit| Judged {
            same: decision.same(hit.distance),
            probability: decision.probability(hit.distance),
            other_class: class.as_ref().zip(hit.item.label.as_ref()).map(|(own, of)| own != of),
            hit,
        };
        let hits: Vec<Judged> = hits.into_iter().map(judge).collect();
        let mut same = hits.iter().filter(|judged| judged.same == Some(true));
        Self {
            known: decision.threshold.map(|_| same.clone().next().is_some()),
            suggested: same.find_map(|judged| judged.hit.item.label.clone()),
            query,
            class,
            hits,
        }
    }

    /// A line with the result, and a table of the hits.
    pub(super) fn text(&self) -> String {
        let same = self.hits.iter().filter(|judged| judged.same == Some(true)).count();
        let of = match &self.class {
            Some(class) => format!(" (class: {class})"),
            None => String::new(),
        };
        let query = &self.query;
        let mut text = match (self.known, self.hits.len()) {
            (_, 0) => return format!("{query}{of}: no item passes the filters"),
            (None, 1) => format!("{query}{of}: the nearest item"),
            (None, hits) => format!("{query}{of}: the {} nearest items", count(hits)),
            (Some(false), _) => format!("{query}{of}: not similar to anything in the gallery"),
            (Some(true), hits) => {
                let suggested = match &self.suggested {
                    Some(class) if self.class.is_none() => format!(", probably {class}"),
                    _ => String::new(),
                };
                format!(
                    "{query}{of}: {} of the {} nearest items {} the same{suggested}",
                    count(same),
                    count(hits),
                    if same == 1 { "is" } else { "are" }
                )
            }
        };
        let classes = self.hits.iter().map(|judged| judged.class().chars().count());
        let width = classes.max().unwrap_or_default().clamp("class".len(), WIDEST_CLASS);
        let _ = write!(text, "\n{:>4}  {:>8}  {:<4}  {:>5}  ", "rank", "distance", "same", "prob.");
        let _ = write!(text, "{:<width$}  item", "class");
        for (rank, judged) in self.hits.iter().enumerate() {
            let same = judged.same.map_or("–", |same| if same { "yes" } else { "no" });
            let probability = judged.probability.map_or_else(|| "–".to_owned(), share);
            let class = shortened(&judged.class(), width);
            let _ = write!(
                text,
                "\n{:>4}  {:>8.4}  {same:<4}  {probability:>5}  {class:<width$}  {}",
                rank + 1,
                judged.hit.distance,
                judged.hit.item.id
            );
            if let Some(words) = judged.hit.item.attributes.get(TEXT) {
                let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
                let _ = write!(text, "  {}", shortened(&line, WIDEST_TEXT));
            }
        }
        text
    }

    pub(super) fn has_other_class(&self) -> bool {
        self.hits.iter().any(|judged| judged.other_class == Some(true))
    }
}

impl Judged {
    /// The class, marked if it is not the query's.
    fn class(&self) -> String {
        let label = self.hit.item.label.as_deref().unwrap_or("–");
        match self.other_class {
            Some(true) => format!("≠ {label}"),
            _ => label.to_owned(),
        }
    }
}

/// At most `width` characters; … replaces those that are left out.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// Explains the columns: the threshold and the prior.
pub(super) fn legend(decision: &Decision, threshold: &str, other_class: bool) -> String {
    let mut text = String::new();
    if decision.threshold.is_some() {
        let _ = write!(text, "same: nearer than {threshold}.");
        if let Some(rate) = decision.false_matches_per_query {
            let at_most = if decision.basis == Some(Basis::Given) { "up to" } else { "at most" };
            let _ = write!(
                text,
                " A query of a class that is\nnot in the gallery has {at_most} {} false matches on average",
                number(rate)
            );
            match decision.expected_known_found {
                Some(found) => {
                    let _ = write!(
                        text,
                        "; about\n{} of the queries of classes in the gallery are found.",
                        percent(found)
                    );
                }
                None => text.push('.'),
            }
        }
    } else {
        text += "There is no threshold to decide by: give --threshold.";
    }
    if decision.probability(0.0).is_some() {
        let _ = write!(
            text,
            "\nprob.: the probability that the item is the same. Before its distance is\nknown it is \
             {}, if {} of the queries are of a class in the gallery.",
            number(decision.prior),
            percent(KNOWN_SHARE)
        );
    }
    if other_class {
        text += "\n≠: an item of another class than the query.";
    }
    if let Some(note) = &decision.note {
        let _ = write!(text, "\nnote: {note}.");
    }
    text
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A number of any magnitude with two significant digits.
fn number(value: f64) -> String {
    if value >= 10.0 || value == 0.0 {
        return format!("{value:.0}");
    }
    let decimals = (1.0 - value.log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
