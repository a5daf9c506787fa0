//! The page as its template sees it: texts and places, all arithmetic done.

use askama::Template;

use crate::chart::{Drawing, Figure, bands, curves, histograms};
use crate::picture::Inline;
use crate::scale::{Base, Unit, grouped, percent, significant};
use crate::training::{Judged, Measured, Picture, Strip, TrainingReport};

/// Why a report could not be made into a page.
#[derive(Debug, thiserror::Error)]
#[error("the report could not be laid out as HTML")]
pub struct ReportError(#[from] askama::Error);

impl TrainingReport {
    /// Lays the report out as one self-contained HTML page.
    pub fn to_html(&self) -> Result<String, ReportError> {
        Ok(Page::of(self).render()?)
    }
}

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "page.html")]
pub(crate) struct Page<'report> {
    report: &'report TrainingReport,
    title: &'report str,
    headlines: Vec<Headline<'report>>,
    columns: [&'static str; 6],
    rows: Vec<Row<'report>>,
    table_caption: String,
    retrieval: Option<Figure>,
    highlights: Vec<String>,
    training: Vec<Figure>,
    collapse: Vec<Figure>,
    histograms: Vec<Figure>,
    strips: Vec<StripView<'report>>,
}

/// One of the big figures at the head of the page.
#[derive(Debug)]
struct Headline<'report> {
    name: &'static str,
    value: String,
    interval: Option<String>,
    /// Every judged row as a mark on a line from 0 to 100 %; the last is the trained model.
    marks: Vec<HeadlineMark<'report>>,
    gain: Option<String>,
}

#[derive(Debug)]
struct HeadlineMark<'report> {
    name: &'report str,
    value: String,
    place: String,
    trained: bool,
}

/// A row of the table of judgements.
#[derive(Debug)]
struct Row<'report> {
    name: &'report str,
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    value: String,
    best: bool,
    interval: Option<Interval>,
    /// The length of the bar in percent.
    length: Option<String>,
}

#[derive(Debug)]
struct Interval {
    text: String,
    /// Where the interval begins on the bar and how wide it is, in percent.
    from: String,
    width: String,
}

#[derive(Debug)]
struct StripView<'report> {
    strip: &'report Strip,
    precision: String,
    right: usize,
    query: PictureView<'report>,
    neighbours: Vec<NeighbourView<'report>>,
}

#[derive(Debug)]
struct NeighbourView<'report> {
    picture: PictureView<'report>,
    distance: String,
    right: bool,
}

#[derive(Debug)]
struct PictureView<'report> {
    picture: &'report Picture,
    inline: Option<Inline>,
}

type Measure = fn(&Judged) -> Measured;

/// The measures of the table in the order of its columns.
const MEASURES: [(&str, Measure); 6] = [
    ("Recall@1", |judged| judged.recall_at_1),
    ("Recall@5", |judged| judged.recall_at_5),
    ("R-Precision", |judged| judged.r_precision),
    ("MAP@R", |judged| judged.map_at_r),
    ("MAP", |judged| judged.map),
    ("MRR", |judged| judged.mrr),
];

impl<'report> Page<'report> {
    const STYLE: &'static str = include_str!("../templates/style.css");
    const SCRIPT: &'static str = include_str!("../templates/hover.js");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    pub(crate) fn of(report: &'report TrainingReport) -> Self {
        let title = report.title.trim();
        Self {
            report,
            title: if title.is_empty() { "Training" } else { title },
            headlines: [0, 3, 2]
                .into_iter()
                .filter_map(|measure| headline(&report.judged, MEASURES[measure]))
                .collect(),
            columns: MEASURES.map(|(name, _)| name),
            rows: rows(&report.judged),
            table_caption: table_caption(&report.judged),
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
            strips: report.strips.iter().map(strip_view).collect(),
        }
    }

    /// Whether nothing was measured while training.
    fn unwatched(&self) -> bool {
        self.retrieval.is_none() && self.training.is_empty() && self.collapse.is_empty()
    }
}

fn headline<'report>(
    judged: &'report [Judged],
    (name, measure): (&'static str, Measure),
) -> Option<Headline<'report>> {
    let (trained, baselines) = judged.split_last()?;
    let reached = measure(trained);
    if !reached.value.is_finite() {
        return None;
    }
    let marks = judged
        .iter()
        .enumerate()
        .map(|(index, row)| (index == baselines.len(), row, measure(row).value))
        .filter(|(_, _, value)| value.is_finite())
        .map(|(trained, row, value)| HeadlineMark {
            name: &row.name,
            value: percent(value),
            place: place(value),
            trained,
        })
        .collect();
    let best = baselines
        .iter()
        .filter(|row| measure(row).value.is_finite())
        .max_by(|one, other| measure(one).value.total_cmp(&measure(other).value));
    let gain = best.map(|row| {
        let points = (reached.value - measure(row).value) * 100.0;
        let sign = if points >= 0.0 { "+" } else { "−" };
        format!("{sign}{:.1} points over {}", points.abs(), row.name)
    });
    Some(Headline {
        name,
        value: percent(reached.value),
        interval: interval(&reached).map(|interval| interval.text),
        marks,
        gain,
    })
}

fn rows(judged: &[Judged]) -> Vec<Row<'_>> {
    let best = MEASURES.map(|(_, measure)| {
        let values = judged.iter().map(|row| measure(row).value);
        values.filter(|value| value.is_finite()).fold(f64::NEG_INFINITY, f64::max)
    });
    judged
        .iter()
        .map(|row| Row {
            name: &row.name,
            cells: MEASURES
                .iter()
                .zip(best)
                .map(|((_, measure), best)| {
                    let measured = measure(row);
                    let value = percent(measured.value);
                    let finite = measured.value.is_finite();
                    Cell {
                        // Rows that read the same are equally good.
                        best: judged.len() > 1 && finite && value == percent(best),
                        interval: interval(&measured),
                        length: finite.then(|| place(measured.value)),
                        value,
                    }
                })
                .collect(),
        })
        .collect()
}

/// What the type and the bars of the table mean, as far as they occur.
fn table_caption(judged: &[Judged]) -> String {
    let mut parts = Vec::new();
    if judged.len() > 1 {
        parts.push("Bold: the best of its column.");
    }
    let mut all = judged.iter().flat_map(|row| MEASURES.map(|(_, measure)| measure(row)));
    if all.any(|measured| interval(&measured).is_some()) {
        parts.push("Small type and the dark part of a bar: the 95 % bootstrap interval.");
    }
    parts.join(" ")
}

fn interval(measured: &Measured) -> Option<Interval> {
    let [low, high] = measured.interval?;
    (measured.value.is_finite() && low.is_finite() && high.is_finite()).then(|| Interval {
        text: format!("{} – {}", percent(low), percent(high)),
        from: place(low),
        width: place(high.clamp(0.0, 1.0) - low.clamp(0.0, 1.0)),
    })
}

/// A share as a CSS length in percent.
fn place(share: f64) -> String {
    format!("{:.2}%", share.clamp(0.0, 1.0) * 100.0)
}

/// In words, where a series was best and where it ended.
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

fn strip_view(strip: &Strip) -> StripView<'_> {
    StripView {
        strip,
        precision: percent(strip.average_precision),
        right: strip.neighbours.iter().filter(|neighbour| neighbour.right).count(),
        query: picture_view(&strip.query),
        neighbours: strip
            .neighbours
            .iter()
            .map(|neighbour| NeighbourView {
                picture: picture_view(&neighbour.picture),
                distance: significant(neighbour.distance),
                right: neighbour.right,
            })
            .collect(),
    }
}

fn picture_view(picture: &Picture) -> PictureView<'_> {
    PictureView { picture, inline: Inline::of(&picture.png) }
}
