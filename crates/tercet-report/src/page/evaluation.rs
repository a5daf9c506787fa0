//! The page of an evaluation.

use askama::Template;

use super::confused::ConfusedView;
use super::glossary::{Meaning, meanings};
use super::headline::{Headline, headline};
use super::strip::StripView;
use super::table::TableView;
use super::{HOVER, MAP_SCRIPT, ReportError, STYLE, VERSION, ZOOM, length};
use crate::chart::{
    Drawing, Figure, class_bars, cmc, histograms, precision_recall, probability, reliability, roc,
    run_bars,
};
use crate::evaluation::{ClassFigure, ClassFigures, Difference, EvaluationReport, TripletCensus};
use crate::map::MapView;
use crate::number::{grouped, in_groups, percent, percent_to, significant};

impl EvaluationReport {
    /// Returns the report as one self-contained HTML page.
    pub fn to_html(&self) -> Result<String, ReportError> {
        Ok(Page::of(self).render()?)
    }
}

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "evaluation.html")]
struct Page<'report> {
    report: &'report EvaluationReport,
    title: &'report str,
    headlines: Vec<Headline<'report>>,
    tables: Vec<TableView<'report>>,
    differences: Vec<DifferenceView<'report>>,
    verification: Vec<Figure>,
    calibration: Vec<Figure>,
    retrieval: Vec<Figure>,
    classes: Option<ClassesView<'report>>,
    one_shot: Option<Figure>,
    clustering: Option<TableView<'report>>,
    map: Option<MapView<'report>>,
    confused: Vec<ConfusedView<'report>>,
    glossary: Vec<Meaning>,
    worst: Vec<StripView<'report>>,
    best: Vec<StripView<'report>>,
    census: Vec<CensusRow>,
}

/// A difference, on a scale that all differences share, with zero in its middle.
#[derive(Debug)]
struct DifferenceView<'report> {
    difference: &'report Difference,
    value: String,
    interval: Option<String>,
    place: Option<String>,
    /// The start and the width of the interval on that scale.
    span: Option<(String, String)>,
}

/// The figures of single classes.
#[derive(Debug)]
struct ClassesView<'report> {
    figure: Option<Figure>,
    measure: &'report str,
    summary: String,
    worst: Vec<ClassRow<'report>>,
}

#[derive(Debug)]
struct ClassRow<'report> {
    name: &'report str,
    items: String,
    value: String,
    length: String,
}

/// A row of the table of triplets: one count per system.
#[derive(Debug)]
struct CensusRow {
    name: &'static str,
    cells: Vec<CensusCell>,
}

#[derive(Debug)]
struct CensusCell {
    system: String,
    value: String,
    share: Option<String>,
}

/// How many figures are shown in large type.
const HEADLINES: usize = 3;
/// How many of the worst classes are listed.
const WORST_CLASSES: usize = 10;

impl<'report> Page<'report> {
    fn of(report: &'report EvaluationReport) -> Self {
        let title = report.title.trim();
        let first = report.figures.first();
        Self {
            report,
            title: if title.is_empty() { "Evaluation" } else { title },
            headlines: first
                .map(|table| {
                    let all = (0..table.columns.len()).filter_map(|at| headline(table, at, 0));
                    all.take(HEADLINES).collect()
                })
                .unwrap_or_default(),
            tables: report.figures.iter().filter_map(|table| TableView::of(table, None)).collect(),
            differences: differences(&report.differences),
            verification: roc(&report.roc)
                .into_iter()
                .chain(report.distances.iter().flat_map(|distances| {
                    histograms(std::slice::from_ref(&distances.histogram), distances.threshold)
                }))
                .filter(|figure| matches!(figure.drawing, Drawing::Chart(_)))
                .collect(),
            calibration: probability(&report.calibration)
                .into_iter()
                .chain(reliability(&report.calibration))
                .collect(),
            retrieval: cmc(&report.cmc)
                .into_iter()
                .chain(precision_recall(&report.precision_recall))
                .collect(),
            classes: report.classes.as_ref().and_then(classes),
            one_shot: run_bars(&report.one_shot),
            clustering: report
                .clustering
                .as_ref()
                .and_then(|table| TableView::of(table, None))
                .map(|table| TableView {
                    name: if table.name.is_empty() { "Clustering" } else { table.name },
                    ..table
                }),
            map: report.map.as_ref().and_then(MapView::of),
            confused: report.confused.iter().map(ConfusedView::of).collect(),
            glossary: {
                let tables = report.figures.iter().chain(&report.clustering);
                meanings(tables.flat_map(|table| &table.columns).map(|c| c.name.as_str()))
            },
            worst: report.worst.iter().map(StripView::of).collect(),
            best: report.best.iter().map(StripView::of).collect(),
            census: census(&report.census),
        }
    }

    /// Whether the report has neither figures nor pictures.
    fn is_bare(&self) -> bool {
        self.tables.is_empty()
            && self.differences.is_empty()
            && self.verification.is_empty()
            && self.calibration.is_empty()
            && self.retrieval.is_empty()
            && self.classes.is_none()
            && self.one_shot.is_none()
            && self.clustering.is_none()
            && self.map.is_none()
            && self.confused.is_empty()
            && self.worst.is_empty()
            && self.best.is_empty()
            && self.census.is_empty()
    }
}

fn differences(differences: &[Difference]) -> Vec<DifferenceView<'_>> {
    let ends = |difference: &Difference| {
        let measured = difference.difference;
        let [low, high] = measured.interval.unwrap_or([measured.value; 2]);
        [low, high, measured.value]
    };
    let reach = differences
        .iter()
        .flat_map(ends)
        .filter(|value| value.is_finite())
        .fold(0.0, |reach: f64, value| reach.max(value.abs()));
    let share = |value: f64| if reach > 0.0 { 0.5 + value / reach / 2.0 } else { 0.5 };
    let points = |value: f64| {
        let sign = if value > 0.0 { "+" } else { "" };
        format!("{sign}{}", percent_to(value, 2))
    };
    differences
        .iter()
        .map(|difference| {
            let measured = difference.difference;
            let known = measured.value.is_finite();
            let interval =
                measured.interval.filter(|ends| known && ends.iter().all(|end| end.is_finite()));
            DifferenceView {
                difference,
                value: points(measured.value),
                interval: interval.map(|[low, high]| format!("{} – {}", points(low), points(high))),
                place: known.then(|| length(share(measured.value))),
                span: interval
                    .map(|[low, high]| (length(share(low)), length(share(high) - share(low)))),
            }
        })
        .collect()
}

fn classes(figures: &ClassFigures) -> Option<ClassesView<'_>> {
    let mut worst_first: Vec<&ClassFigure> =
        figures.classes.iter().filter(|class| class.value.is_finite()).collect();
    if worst_first.is_empty() {
        return None;
    }
    worst_first.sort_by(|one, other| {
        one.value.total_cmp(&other.value).then_with(|| one.name.cmp(&other.name))
    });
    let perfect = worst_first.iter().filter(|class| class.value >= 1.0).count();
    let all = grouped(worst_first.len() as f64);
    let summary = match worst_first.len() - perfect {
        0 => format!("All {all} classes are at 100 %."),
        _ if perfect > 0 => {
            format!("{} of {all} classes are at 100 %.", grouped(perfect as f64))
        }
        _ => format!("None of the {all} classes is at 100 %."),
    };
    Some(ClassesView {
        figure: class_bars(&figures.measure, &worst_first),
        measure: &figures.measure,
        summary,
        worst: worst_first
            .iter()
            .filter(|class| class.value < 1.0)
            .take(WORST_CLASSES)
            .map(|class| ClassRow {
                name: &class.name,
                items: grouped(class.items as f64),
                value: percent(class.value),
                length: length(class.value),
            })
            .collect(),
    })
}

fn census(systems: &[TripletCensus]) -> Vec<CensusRow> {
    if systems.is_empty() {
        return Vec::new();
    }
    let count = |value: u64| CensusCell {
        system: String::new(),
        value: in_groups(&value.to_string()),
        share: None,
    };
    let of = |value: u64, whole: u64| CensusCell {
        system: String::new(),
        value: in_groups(&value.to_string()),
        share: (whole > 0).then(|| format!("{} %", percent(value as f64 / whole as f64))),
    };
    let distance =
        |value: f64| CensusCell { system: String::new(), value: significant(value), share: None };
    let row = |name, cell: &dyn Fn(&TripletCensus) -> CensusCell| CensusRow {
        name,
        cells: systems
            .iter()
            .map(|system| CensusCell { system: system.name.clone(), ..cell(system) })
            .collect(),
    };
    vec![
        row("Valid triplets", &|system| count(system.counts.triplets)),
        row("Selected, of the valid", &|system| of(system.counts.selected, system.counts.triplets)),
        row("Active, of the selected", &|system| of(system.counts.active, system.counts.selected)),
        row("Violated, of the selected", &|system| {
            of(system.counts.violated, system.counts.selected)
        }),
        row("Anchors", &|system| count(system.counts.anchors)),
        row("Items without a positive", &|system| count(system.counts.anchors_without_positive)),
        row("Items without a negative", &|system| count(system.counts.anchors_without_negative)),
        row("Mean distance to the positive", &|system| {
            distance(system.counts.mean_positive_distance)
        }),
        row("Mean distance to the negative", &|system| {
            distance(system.counts.mean_negative_distance)
        }),
    ]
}
