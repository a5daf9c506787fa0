//! The page of an evaluation.

use std::collections::BTreeSet;
use std::path::Path;

use ndarray::Axis;
use tercet::retrieval::{Example, QueryJudgement};
use tercet::verification::Pair;
use tercet::{Census, Retrieval};
use tercet_projection::Projection;
use tercet_report as page;
use tercet_report::EvaluationReport;
use tercet_train::confusion::{confusions, sampled};
use tercet_train::judgement;
use tercet_train::sharing::{distinct_names, file_name, now, source_name};
use tercet_train::thumbnails::{sheet, thumbnail};

use super::Protocol;
use super::comparison::Compared;
use super::system::System;
use super::verdict::{Detail, Figure, Quantity, Verdict, Verified};
use crate::table::count;

/// How many of the best and of the worst queries are shown; the best ones all have different
/// classes.
const EXAMPLES: usize = 8;

/// The most neighbours that are shown for a query.
const NEIGHBOURS: usize = 8;

/// Side of a thumbnail in pixels.
const SIDE: u32 = 96;

/// How many pairs of confused classes are shown.
const CONFUSED: usize = 10;

/// The most points of the map, of which at most [`MAP_PICTURES`] have a picture.
const MAP_POINTS: usize = 4_000;
const MAP_PICTURES: usize = 1_500;

/// Side of a picture on the map.
const MAP_SIDE: u32 = 32;

/// Number of points of a calibration curve.
const CURVE_POINTS: usize = 100;

/// The page as HTML.
pub(super) fn page(
    protocol: Protocol,
    systems: &[System],
    verdicts: &[Verdict],
    differences: &[Compared],
    censuses: &[Census],
    (projection, seed): (Projection, u64),
) -> anyhow::Result<String> {
    let Some(first) = systems.first() else { return Ok(EvaluationReport::default().to_html()?) };
    // A page may be shared: it contains file names, but not the folders of this machine.
    let names = distinct_names(systems.iter().map(|system| system.name.as_str()));
    let source = source_name(&first.source);
    let mut report = EvaluationReport {
        title: match systems {
            [only] if only.name == only.source => names[0].clone(),
            [_] => format!("{} on {source}", names[0]),
            several => format!("{} systems on {source}", several.len()),
        },
        protocol: clap::ValueEnum::to_possible_value(&protocol)
            .map_or_else(String::new, |value| value.get_name().to_owned()),
        summary: [
            ("date", now()),
            ("command", command()),
            ("source", source.clone()),
            ("items", count(first.labels.len())),
            (
                "classes",
                format!("{} ({})", count(first.labels.class_count()), first.which_classes()),
            ),
            ("dimensions", first.vectors.ncols().to_string()),
            ("distance", first.metric.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
        conventions: conventions(verdicts),
        figures: vec![table(&names, verdicts)],
        differences: differences
            .iter()
            .map(|compared| difference(compared, systems, &names))
            .collect(),
        census: names.iter().zip(censuses).map(|(name, census)| triplets(name, census)).collect(),
        notes: notes(systems),
        ..EvaluationReport::default()
    };
    for ((system, name), verdict) in systems.iter().zip(&names).zip(verdicts) {
        add(&mut report, system, name, verdict, seed)?;
    }
    report.map = Some(map(first, projection)?);
    if let Some(Detail::Retrieval(judged)) = verdicts.first().map(|verdict| &verdict.detail) {
        report.classes = Some(page::ClassFigures {
            measure: "MAP@R".to_owned(),
            classes: judged
                .per_class
                .iter()
                .map(|class| page::ClassFigure {
                    name: class.name.clone(),
                    items: class.queries,
                    value: class.averages.map_at_r,
                })
                .collect(),
        });
        report.worst = strips(first, &judged.worst(EXAMPLES))?;
        report.best = strips(first, &best(first, judged))?;
        report.confused = confused(first, judged)?;
    }
    Ok(report.to_html()?)
}

/// The conventions of all systems, each sentence once, in the order of the systems.
pub(super) fn conventions(verdicts: &[Verdict]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for sentence in verdicts.iter().flat_map(|verdict| &verdict.conventions) {
        if !told.contains(sentence) {
            told.push(sentence.clone());
        }
    }
    told
}

fn notes(systems: &[System]) -> Vec<String> {
    let skipped = systems.iter().flat_map(|system| &system.skipped);
    let mut notes: Vec<String> = Vec::new();
    for note in skipped.map(|item| format!("left out {item}")) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

fn table(names: &[String], verdicts: &[Verdict]) -> page::FigureTable {
    let column = |figure: &Figure| page::Column {
        name: figure.name.clone(),
        quantity: match figure.quantity {
            Quantity::Share | Quantity::Error => page::Quantity::Share,
            Quantity::Distance => page::Quantity::Number,
            Quantity::Count => page::Quantity::Count,
        },
        better: match figure.quantity {
            Quantity::Share => page::Better::Higher,
            Quantity::Error => page::Better::Lower,
            Quantity::Distance | Quantity::Count => page::Better::Neither,
        },
    };
    let measured =
        |figure: &Figure| page::Measured { value: figure.value, interval: figure.interval };
    page::FigureTable {
        name: "Figures".to_owned(),
        columns: verdicts
            .first()
            .map_or_else(Vec::new, |verdict| verdict.figures.iter().map(column).collect()),
        rows: names
            .iter()
            .zip(verdicts)
            .map(|(name, verdict)| page::FigureRow {
                name: name.clone(),
                values: verdict.figures.iter().map(measured).collect(),
            })
            .collect(),
    }
}

fn difference(compared: &Compared, systems: &[System], names: &[String]) -> page::Difference {
    let difference = &compared.difference;
    let short = |name: &str| {
        let place = systems.iter().position(|system| system.name == name);
        place.map_or_else(|| name.to_owned(), |place| names[place].clone())
    };
    page::Difference {
        measure: compared.figure.to_owned(),
        system: short(&difference.second),
        against: short(&difference.first),
        difference: page::Measured {
            value: difference.difference,
            interval: Some(difference.ci95),
        },
        real: difference.real,
    }
}

fn triplets(name: &str, census: &Census) -> page::TripletCensus {
    page::TripletCensus {
        name: name.to_owned(),
        counts: page::CensusCounts {
            triplets: census.triplets,
            selected: census.selected,
            active: census.active,
            violated: census.violated,
            anchors: census.anchors,
            anchors_without_positive: census.anchors_without_positive,
            anchors_without_negative: census.anchors_without_negative,
            mean_positive_distance: census.mean_positive_distance,
            mean_negative_distance: census.mean_negative_distance,
        },
    }
}

/// Adds the curves of one system.
fn add(
    report: &mut EvaluationReport,
    system: &System,
    called: &str,
    verdict: &Verdict,
    seed: u64,
) -> anyhow::Result<()> {
    let name = || called.to_owned();
    match &verdict.detail {
        Detail::Retrieval(judged) => {
            report.precision_recall.push(precision_recall(called, judged));
            add_distances(report, system, called, seed)?;
        }
        Detail::Reid(judged, single_shot) => {
            let rates = judged.cmc.values().copied().collect();
            report.cmc.push(page::RankCurve { name: name(), rates });
            if let Some(single_shot) = single_shot {
                let rates = single_shot.cmc.values().copied().collect();
                report.cmc.push(page::RankCurve { name: name() + ", single shot", rates });
            }
        }
        Detail::Verification(verified) => add_verification(report, called, verified),
        Detail::OneShot(judged) => {
            report.one_shot.push(page::OneShot { name: name(), errors: judged.runs.clone() });
        }
        Detail::Episodes => {}
        Detail::Clustering => add_distances(report, system, called, seed)?,
    }
    Ok(())
}

fn precision_recall(name: &str, judged: &Retrieval) -> page::Curve {
    let levels = judged.precision_recall.len().saturating_sub(1).max(1) as f64;
    page::Curve {
        name: name.to_owned(),
        points: (0..)
            .zip(&judged.precision_recall)
            .map(|(level, &precision)| (f64::from(level) / levels, precision))
            .collect(),
    }
}

/// Adds the distances of balanced pairs, for protocols that compute none.
fn add_distances(
    report: &mut EvaluationReport,
    system: &System,
    name: &str,
    seed: u64,
) -> anyhow::Result<()> {
    let pairs = judgement::pairs(system.vectors.view(), &system.labels, system.metric, seed)?;
    if !pairs.is_empty() {
        report.distances.push(page::Distances {
            histogram: judgement::histogram(name, &pairs),
            threshold: system.threshold.filter(|_| !system.is_processed()),
        });
    }
    Ok(())
}

fn add_verification(report: &mut EvaluationReport, name: &str, verified: &Verified) {
    let Verified { judged, pairs, calibrations } = verified;
    report.roc.push(page::RocCurve {
        name: name.to_owned(),
        points: judged.roc.iter().map(|point| (point.far, point.val)).collect(),
        targets: judged
            .val_at_far
            .iter()
            .filter_map(|(far, val)| Some((far.parse().ok()?, val.val)))
            .collect(),
    });
    report.distances.push(page::Distances {
        histogram: judgement::histogram(name, pairs),
        threshold: Some(f64::from(judged.threshold)),
    });
    let farthest = pairs.iter().map(|pair: &Pair| pair.distance).fold(0.0_f32, f32::max);
    for calibrated in calibrations {
        let at = |step: usize| farthest * step as f32 / CURVE_POINTS as f32;
        report.calibration.push(page::Calibration {
            name: format!("{name}, {}", calibrated.name),
            probability: (0..=CURVE_POINTS)
                .map(|step| (f64::from(at(step)), calibrated.calibration.probability(at(step))))
                .collect(),
            reliability: calibrated
                .quality
                .reliability
                .iter()
                .map(|bin| page::Reliability {
                    foretold: bin.predicted,
                    observed: bin.observed,
                    pairs: bin.pairs,
                })
                .collect(),
        });
    }
}

/// The projection of at most [`MAP_POINTS`] items, chosen at even distances, in two dimensions.
fn map(system: &System, projection: Projection) -> anyhow::Result<page::EmbeddingMap> {
    let rows = system.labels.len();
    let thinned = |most: usize| -> Vec<u32> {
        let shown = rows.min(most);
        (0..shown).map(|place| (place * rows / shown) as u32).collect()
    };
    let shown = thinned(MAP_POINTS);
    let rows_shown: Vec<usize> = shown.iter().map(|&row| row as usize).collect();
    let vectors = system.vectors.select(Axis(0), &rows_shown);
    let places = projection.map(vectors.view(), system.metric)?;
    // Every n-th point has a picture, so that all regions have some.
    let every = shown.len().div_ceil(MAP_PICTURES).max(1);
    let with_picture: Vec<u32> = shown.iter().copied().step_by(every).collect();
    let thumbnails = match &system.pictures {
        Some(catalogue) => {
            let sheet = sheet(catalogue, &with_picture, MAP_SIDE)?;
            Some(page::SpriteSheet {
                image: sheet.png,
                width: sheet.side,
                height: sheet.side,
                columns: sheet.columns,
            })
        }
        None => None,
    };
    let points = shown.iter().enumerate().map(|(place, &row)| page::MapPoint {
        x: places[[place, 0]],
        y: places[[place, 1]],
        class: system.labels.classes()[row as usize] as usize,
        id: system.ids[row as usize].clone(),
        tile: (thumbnails.is_some() && place.is_multiple_of(every))
            .then_some((place / every) as u32),
    });
    let mut method = match projection {
        Projection::Pca => "first two principal components".to_owned(),
        Projection::TSne => {
            "t-SNE: neighbours stay neighbours, far distances mean nothing".to_owned()
        }
    };
    if shown.len() < rows {
        method += &format!("; {} of {} items", count(shown.len()), count(rows));
    }
    Ok(page::EmbeddingMap {
        points: points.collect(),
        method,
        classes: (0..system.labels.class_count() as u32)
            .map(|class| system.labels.name(class).to_owned())
            .collect(),
        thumbnails,
    })
}

/// The queries with the highest average precision, each of a different class.
fn best(system: &System, judged: &Retrieval) -> Vec<QueryJudgement> {
    let mut queries = judged.best(judged.per_query.len());
    let mut shown = BTreeSet::new();
    queries.retain(|query| {
        shown.len() < EXAMPLES && shown.insert(system.class(query_row(system, query.query)))
    });
    queries
}

/// The nearest items of these queries, without the query itself.
fn searched(
    system: &System,
    judged: &[QueryJudgement],
    most: usize,
) -> anyhow::Result<Vec<Example>> {
    let protocol = system.retrieval();
    let Some(search) = &system.search else {
        let (vectors, labels) = (system.vectors.view(), &system.labels);
        return Ok(protocol.examples_leave_one_out(judged, vectors, labels, most)?);
    };
    let (queries, gallery) = (system.rows(&search.queries), system.rows(&search.gallery));
    let mut examples = protocol.examples(
        judged,
        queries.vectors.view(),
        &queries.labels,
        gallery.vectors.view(),
        &gallery.labels,
        most + 1,
    )?;
    for example in &mut examples {
        let own = query_row(system, example.judgement.query);
        example.nearest.retain(|found| gallery_row(system, found.index) != own);
        example.nearest.truncate(most);
    }
    Ok(examples)
}

/// The row of a query, given by its index among the queries.
fn query_row(system: &System, query: u32) -> u32 {
    let queries = system.search.as_ref().map(|search| &search.queries);
    queries.and_then(|rows| rows.get(query as usize)).copied().unwrap_or(query)
}

/// The row of an item, given by its index in the gallery.
fn gallery_row(system: &System, found: u32) -> u32 {
    let gallery = system.search.as_ref().map(|search| &search.gallery);
    gallery.and_then(|rows| rows.get(found as usize)).copied().unwrap_or(found)
}

/// Queries with their R nearest neighbours, at most [`NEIGHBOURS`] of them.
fn strips(system: &System, judged: &[QueryJudgement]) -> anyhow::Result<Vec<page::Strip>> {
    searched(system, judged, NEIGHBOURS)?
        .iter()
        .map(|example| {
            let relevant = usize::try_from(example.judgement.relevant).unwrap_or(NEIGHBOURS);
            Ok(page::Strip {
                query: picture(system, query_row(system, example.judgement.query))?,
                neighbours: example
                    .nearest
                    .iter()
                    .take(relevant)
                    .map(|found| {
                        Ok(page::Neighbour {
                            picture: picture(system, gallery_row(system, found.index))?,
                            distance: f64::from(found.distance),
                            right: found.relevant,
                        })
                    })
                    .collect::<anyhow::Result<_>>()?,
                average_precision: example.judgement.average_precision,
            })
        })
        .collect()
}

/// The pairs of classes with the most errors among the R nearest neighbours.
fn confused(system: &System, judged: &Retrieval) -> anyhow::Result<Vec<page::ConfusedPair>> {
    let (queries, nearest) = sampled(&judged.per_query);
    let examples = searched(system, &queries, nearest)?;
    let [query_labels, gallery_labels] = match &system.search {
        None => [system.labels.clone(), system.labels.clone()],
        Some(search) => [&search.queries, &search.gallery].map(|rows| system.labels.select(rows)),
    };
    confusions(&examples, &query_labels, &gallery_labels, CONFUSED)
        .into_iter()
        .map(|confusion| {
            let (query, found, distance) = confusion.example;
            Ok(page::ConfusedPair {
                classes: confusion.classes,
                errors: confusion.errors,
                places: confusion.places,
                example: [
                    picture(system, query_row(system, query))?,
                    picture(system, gallery_row(system, found))?,
                ],
                distance: f64::from(distance),
            })
        })
        .collect()
}

/// The command that generated the page, with file names in place of absolute paths.
fn command() -> String {
    let words = crate::arguments().iter().map(|word| {
        let word = word.to_string_lossy().into_owned();
        let shown = match word.split_once(':') {
            Some((_, path)) if Path::new(path).is_absolute() => source_name(&word),
            _ if Path::new(&word).is_absolute() => file_name(&word).unwrap_or(word),
            _ => word,
        };
        if shown.contains(char::is_whitespace) { format!("'{shown}'") } else { shown }
    });
    std::iter::once("tercet".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn picture(system: &System, row: u32) -> anyhow::Result<page::Picture> {
    Ok(page::Picture {
        png: match &system.pictures {
            Some(catalogue) => thumbnail(catalogue, row, SIDE)?,
            None => Vec::new(),
        },
        label: system.class(row).to_owned(),
        id: system.ids[row as usize].clone(),
    })
}
