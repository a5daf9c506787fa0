//! The page of a training run.

use askama::Template;

use super::confused::ConfusedView;
use super::glossary::{Meaning, meanings};
use super::headline::{Headline, headline};
use super::strip::StripView;
use super::table::TableView;
use super::{HOVER, ReportError, STYLE, VERSION, ZOOM};
use crate::chart::{Drawing, Figure, bands, curves, histograms};
use crate::number::{grouped, percent};
use crate::parts::{Column, FigureRow, FigureTable, Measured};
use crate::scale::{Base, Unit};
use crate::training::{Judged, TrainingReport};

impl TrainingReport {
    /// Returns the report as one self-contained HTML page.
    pub fn to_html(&self) -> Result<String, ReportError> {
        let judged = figures(&self.judged);
        Ok(Page::of(self, &judged).render()?)
    }
}

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "training.html")]
struct Page<'report> {
    report: &'report TrainingReport,
    title: &'report str,
    headlines: Vec<Headline<'report>>,
    table: Option<TableView<'report>>,
    retrieval: Option<Figure>,
    highlights: Vec<String>,
    training: Vec<Figure>,
    collapse: Vec<Figure>,
    histograms: Vec<Figure>,
    confused: Vec<ConfusedView<'report>>,
    strips: Vec<StripView<'report>>,
    glossary: Vec<Meaning>,
}

type Measure = fn(&Judged) -> Measured;

/// The measures of the table in the order of its columns.
const MEASURES: [(&str, Measure); 6] = [
    ("Recall@1", |judged| judged.recall_at_1),
    ("Recall@5", |judged| judged.recall_at_5),
    ("R-precision", |judged| judged.r_precision),
    ("MAP@R", |judged| judged.map_at_r),
    ("mAP", |judged| judged.map),
    ("MRR", |judged| judged.mrr),
];

impl<'report> Page<'report> {
    fn of(report: &'report TrainingReport, judged: &'report FigureTable) -> Self {
        let title = report.title.trim();
        // The last row is the trained model.
        let trained = judged.rows.len().saturating_sub(1);
        Self {
            report,
            title: if title.is_empty() { "Training" } else { title },
            headlines: [0, 3, 2]
                .into_iter()
                .filter_map(|measure| headline(judged, measure, trained))
                .collect(),
            table: TableView::of(judged, Some(trained)),
            retrieval: curves(
                "Retrieval",
                &[("Recall@1", &report.recall_at_1), ("MAP@R", &report.map_at_r)],
                Unit::Share,
                Base::Free,
            ),
            highlights: [("Recall@1", &report.recall_at_1), ("MAP@R", &report.map_at_r)]
                .into_iter()
                .filter_map(|(name, series)| highlight(name, series))
                .collect(),
            training: [
                curves("Loss", &[("loss", &report.loss)], Unit::Plain, Base::Zero),
                curves(
                    "Active and violated share",
                    &[("active", &report.active_share), ("violated", &report.violated_share)],
                    Unit::Share,
                    Base::WholeShare,
                ),
                curves(
                    "Learning rate",
                    &[("learning rate", &report.learning_rate)],
                    Unit::Plain,
                    Base::Zero,
                ),
            ]
            .into_iter()
            .flatten()
            .collect(),
            collapse: [
                bands("Embedding norms", &report.norms),
                bands("Pairwise distances", &report.distances),
            ]
            .into_iter()
            .flatten()
            .collect(),
            histograms: histograms(&report.histograms, report.threshold),
            confused: report.confused.iter().map(ConfusedView::of).collect(),
            strips: report.strips.iter().map(StripView::of).collect(),
            glossary: {
                let columns = judged.columns.iter().map(|column| column.name.as_str());
                let columns = columns.filter(|_| !judged.rows.is_empty());
                let verification = report.verification.iter().map(|(name, _)| name.as_str());
                meanings(columns.chain(verification))
            },
        }
    }

    fn judged_on(&self) -> &str {
        match self.report.judged_on.as_str() {
            "" => "Held-out classes",
            named => named,
        }
    }

    /// Whether nothing was measured during training.
    fn unwatched(&self) -> bool {
        self.retrieval.is_none() && self.training.is_empty() && self.collapse.is_empty()
    }
}

/// The evaluations as a table.
fn figures(judged: &[Judged]) -> FigureTable {
    FigureTable {
        name: "Evaluated on classes never seen in training".into(),
        columns: MEASURES
            .map(|(name, _)| Column { name: name.into(), ..Column::default() })
            .to_vec(),
        rows: judged
            .iter()
            .map(|row| FigureRow {
                name: row.name.clone(),
                values: MEASURES.map(|(_, measure)| measure(row)).to_vec(),
            })
            .collect(),
    }
}

/// A sentence that says where a series was highest and where it ended.
fn highlight(name: &str, series: &[(u64, f64)]) -> Option<String> {
    let finite = || series.iter().filter(|(_, value)| value.is_finite());
    let best = finite().max_by(|one, other| one.1.total_cmp(&other.1).then(other.0.cmp(&one.0)))?;
    let last = finite().max_by_key(|(step, _)| *step)?;
    let (highest, ended) = (percent(best.1), percent(last.1));
    Some(if highest == ended {
        format!("{name} ended at its highest, {highest} %.")
    } else {
        let step = grouped(best.0 as f64);
        format!("{name} was highest at step {step}, with {highest} %; it ended with {ended} %.")
    })
}
