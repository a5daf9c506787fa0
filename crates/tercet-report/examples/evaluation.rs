//! Writes an evaluation report of invented numbers, to look at the page:
//! `cargo run -p tercet-report --example evaluation -- report.html`.
//!
//! Every figure comes from a formula below and says nothing about any model.

use std::error::Error;
use std::f64::consts::TAU;
use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma};
use tercet_report::{
    Better, Calibration, CensusCounts, ClassFigure, ClassFigures, Column, ConfusedPair, Curve,
    Difference, DistanceHistogram, Distances, EmbeddingMap, EvaluationReport, FigureRow,
    FigureTable, MapPoint, Measured, Neighbour, OneShot, Picture, Quantity, RankCurve, Reliability,
    RocCurve, SpriteSheet, Strip, TripletCensus,
};

const CLASSES: usize = 120;
const POINTS: usize = 10_000;
const TILE: u32 = 28;
const SYSTEMS: [(&str, f64); 2] = [("batch-hard", 1.9), ("facenet", 1.5)];

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "evaluation.html".into());
    std::fs::write(&path, report()?.to_html()?)?;
    println!("{path}");
    Ok(())
}

fn report() -> Result<EvaluationReport, Box<dyn Error>> {
    Ok(EvaluationReport {
        title: "invented.safetensors on glyphs".into(),
        protocol: "retrieval and verification".into(),
        summary: facts(&[
            ("model", "invented.safetensors"),
            ("source", "glyphs, classes held out"),
            ("items", "10 000 of 120 classes"),
            ("distance", "euclidean, not normalised"),
        ]),
        conventions: vec![
            "Leave-one-out: every item is a query against all others, never against itself.".into(),
            "Ties in distance count as the mean over their orderings.".into(),
            "A pair is accepted as same if its distance is strictly below the threshold.".into(),
        ],
        figures: vec![retrieval_table(), verification_table()],
        differences: vec![
            difference("Recall@1", 0.016, [0.009, 0.023], true),
            difference("MAP@R", 0.041, [0.028, 0.055], true),
            difference("MRR", 0.004, [-0.002, 0.01], false),
        ],
        roc: SYSTEMS.map(|(name, apart)| roc(name, apart)).to_vec(),
        cmc: SYSTEMS
            .map(|(name, apart)| RankCurve {
                name: name.into(),
                rates: (1..=60).map(|rank| 1.0 - 0.3 / apart / f64::from(rank).powf(0.8)).collect(),
            })
            .to_vec(),
        precision_recall: SYSTEMS
            .map(|(name, apart)| Curve {
                name: name.into(),
                points: (0..=1000)
                    .map(|at| f64::from(at) / 1000.0)
                    .map(|recall| (recall, 1.0 - recall.powf(2.2 * apart) * 0.8))
                    .collect(),
            })
            .to_vec(),
        distances: SYSTEMS.map(|(name, apart)| distances(name, apart)).to_vec(),
        calibration: SYSTEMS.map(|(name, apart)| calibration(name, apart)).to_vec(),
        classes: Some(classes()),
        confused: vec![confused(3, 7, 41)?, confused(12, 16, 23)?, confused(41, 45, 9)?],
        one_shot: SYSTEMS
            .map(|(name, apart)| OneShot {
                name: name.into(),
                errors: (0..20).map(|run| 0.22 / apart + 0.05 * wave(run, 1.7)).collect(),
            })
            .to_vec(),
        clustering: Some(clustering()),
        map: Some(map()?),
        worst: vec![strip(3, 0.122, 8)?, strip(41, 0.187, 7)?, texts()],
        best: vec![strip(12, 1.0, 0)?],
        census: vec![census()],
        notes: vec!["3 items are the only ones of their class and are no queries.".into()],
    })
}

/// A number between −1 and 1 that looks random.
fn wave(at: usize, pace: f64) -> f64 {
    ((at as f64 * 12.9898 + pace * 78.233).sin() * 43758.5453).fract()
}

/// Roughly a normal deviate, from four waves.
fn spread(at: usize, pace: f64) -> f64 {
    (0..4).map(|part| wave(at * 4 + part, pace + part as f64 * 3.1)).sum::<f64>() / 2.0
}

fn facts(facts: &[(&str, &str)]) -> Vec<(String, String)> {
    facts.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn measured(value: f64, half: f64) -> Measured {
    Measured { value, interval: Some([value - half, value + half]) }
}

fn column(name: &str, quantity: Quantity, better: Better) -> Column {
    Column { name: name.into(), quantity, better }
}

fn retrieval_table() -> FigureTable {
    let share = |name| column(name, Quantity::Share, Better::Higher);
    FigureTable {
        name: "Retrieval, leave-one-out".into(),
        columns: ["Recall@1", "MAP@R", "R-Precision", "mAP", "MRR"].map(share).to_vec(),
        rows: SYSTEMS
            .map(|(name, apart)| FigureRow {
                name: name.into(),
                values: [0.51, 0.44, 0.45, 0.475, 0.513]
                    .map(|factor| measured(apart * factor, 0.011 * factor))
                    .to_vec(),
            })
            .to_vec(),
    }
}

fn verification_table() -> FigureTable {
    FigureTable {
        name: "Verification, 10 folds".into(),
        columns: vec![
            column("Accuracy", Quantity::Share, Better::Higher),
            column("EER", Quantity::Share, Better::Lower),
            column("VAL at FAR 10⁻³", Quantity::Share, Better::Higher),
            column("Threshold", Quantity::Number, Better::Neither),
            column("Pairs", Quantity::Count, Better::Neither),
        ],
        rows: SYSTEMS
            .map(|(name, apart)| FigureRow {
                name: name.into(),
                values: vec![
                    measured(1.0 - 0.03 / apart, 0.0021),
                    measured(0.031 / apart, 0.0024),
                    measured(0.43 * apart, 0.02),
                    Measured { value: 5.1 + apart, interval: None },
                    Measured { value: 60_000.0, interval: None },
                ],
            })
            .to_vec(),
    }
}

fn difference(measure: &str, value: f64, interval: [f64; 2], real: bool) -> Difference {
    Difference {
        measure: measure.into(),
        system: SYSTEMS[0].0.into(),
        against: SYSTEMS[1].0.into(),
        difference: Measured { value, interval: Some(interval) },
        real,
    }
}

fn roc(name: &str, apart: f64) -> RocCurve {
    let val = |far: f64| far.powf(0.09 / apart / apart);
    RocCurve {
        name: name.into(),
        points: (0..=3000)
            .map(|at| f64::from(at) / 3000.0)
            .map(|far| (far * far * far * 40_000.0).ceil() / 40_000.0)
            .map(|far| (far, val(far)))
            .collect(),
        targets: [1e-3, 1e-2, 1e-1].map(|far| (far, val(far))).to_vec(),
    }
}

fn distances(name: &str, apart: f64) -> Distances {
    let bell = |middle: f64| -> Vec<f64> {
        let heights: Vec<f64> = (0..60)
            .map(|bin| (f64::from(bin) + 0.5) / 5.0)
            .map(|at| (-(at - middle) * (at - middle) / 2.0).exp())
            .collect();
        let sum: f64 = heights.iter().sum();
        heights.into_iter().map(|height| height / sum).collect()
    };
    Distances {
        histogram: DistanceHistogram {
            name: format!("Distances, {name}"),
            from: 0.0,
            to: 12.0,
            same: bell(6.0 - apart),
            different: bell(6.0 + apart),
        },
        threshold: Some(6.0),
    }
}

fn calibration(name: &str, apart: f64) -> Calibration {
    let chance = |distance: f64| 1.0 / (1.0 + ((distance - 6.0) * 2.0 * apart / 1.2).exp());
    Calibration {
        name: name.into(),
        probability: (0..=240)
            .map(|at| f64::from(at) / 20.0)
            .map(|distance| (distance, chance(distance)))
            .collect(),
        reliability: (0..10)
            .map(|group| {
                let foretold = (group as f64 + 0.5) / 10.0;
                Reliability {
                    foretold,
                    observed: (foretold + 0.04 * wave(group, apart)).clamp(0.0, 1.0),
                    pairs: 6000,
                }
            })
            .collect(),
    }
}

fn class_name(class: usize) -> String {
    let letter = |at: usize| char::from_u32(0x3b1 + at as u32).unwrap_or('?');
    format!("{}{class}", letter(class % 16))
}

fn classes() -> ClassFigures {
    ClassFigures {
        measure: "MAP@R".into(),
        classes: (0..CLASSES)
            .map(|class| ClassFigure {
                name: class_name(class),
                items: 60 + class as u64 % 40,
                value: (1.05 - 0.8 * wave(class, 2.0).abs().powi(3)).min(1.0),
            })
            .collect(),
    }
}

fn clustering() -> FigureTable {
    let share = |name| column(name, Quantity::Share, Better::Higher);
    FigureTable {
        name: "Clustering".into(),
        columns: [column("Clusters", Quantity::Count, Better::Neither)]
            .into_iter()
            .chain(["NMI", "AMI", "ARI", "pairwise F1", "BCubed F1"].map(share))
            .collect(),
        rows: [("agglomerative, average", 131.0, 0.93), ("k-means", 120.0, 0.9)]
            .map(|(name, clusters, level)| FigureRow {
                name: name.into(),
                values: [clusters, level, level - 0.02, level - 0.1, level - 0.09, level - 0.06]
                    .map(|value| Measured { value, interval: None })
                    .to_vec(),
            })
            .to_vec(),
    }
}

fn map() -> Result<EmbeddingMap, Box<dyn Error>> {
    let pictured = 2000;
    let points = (0..POINTS).map(|item| {
        let class = item % CLASSES;
        let turn = class as f64 * 2.399_963;
        let far = (class as f64 + 0.5).sqrt() * 4.0;
        let (x, y) = (far * turn.cos(), far * turn.sin());
        MapPoint {
            x: (x + spread(item, 1.1)) as f32,
            y: (y + spread(item, 2.3)) as f32,
            class,
            id: format!("{}/{item:05}.png", class_name(class)),
            tile: (item < pictured).then_some(item as u32),
        }
    });
    let columns = 50;
    let mut sheet = GrayImage::new(columns * TILE, pictured as u32 / columns * TILE);
    for item in 0..pictured {
        let drawn = glyph(item % CLASSES, item);
        let (left, top) = (item as u32 % columns * TILE, item as u32 / columns * TILE);
        image::imageops::replace(&mut sheet, &drawn, left.into(), top.into());
    }
    Ok(EmbeddingMap {
        method: "laid out by a formula".into(),
        classes: (0..CLASSES).map(class_name).collect(),
        points: points.collect(),
        thumbnails: Some(SpriteSheet { image: png(&sheet)?, width: TILE, height: TILE, columns }),
    })
}

/// A figure of strokes that is the same for a class but for a little shake.
fn glyph(class: usize, item: usize) -> GrayImage {
    let mut drawn = GrayImage::new(TILE, TILE);
    for step in 0..240 {
        let turn = f64::from(step) / 240.0 * TAU;
        let (one, two) = (1 + class % 4, 1 + class / 4 % 5);
        let x = 14.0 + (9.0 + spread(item, 5.0)) * (turn * one as f64 + class as f64).cos();
        let y = 14.0 + (9.0 + spread(item, 7.0)) * (turn * two as f64).sin();
        let (x, y) = (x.clamp(0.0, 27.0) as u32, y.clamp(0.0, 27.0) as u32);
        drawn.put_pixel(x, y, Luma([255]));
        drawn.put_pixel((x + 1).min(27), y, Luma([180]));
    }
    drawn
}

fn png(picture: &GrayImage) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

fn picture(class: usize, item: usize) -> Result<Picture, Box<dyn Error>> {
    Ok(Picture {
        png: png(&glyph(class, item))?,
        label: class_name(class),
        id: format!("{}/{item:05}.png", class_name(class)),
    })
}

fn strip(class: usize, average_precision: f64, wrong: usize) -> Result<Strip, Box<dyn Error>> {
    let neighbours: Result<Vec<Neighbour>, Box<dyn Error>> = (0..10)
        .map(|rank| {
            let right = rank >= wrong;
            let shown = if right { class } else { class + 4 * (rank % 3 + 1) };
            let distance = 4.0 + 0.3 * (rank as f64 + 1.0).ln();
            Ok(Neighbour { picture: picture(shown, class * 90 + rank)?, distance, right })
        })
        .collect();
    Ok(Strip { query: picture(class, class)?, neighbours: neighbours?, average_precision })
}

/// Two classes that are taken for each other.
fn confused(one: usize, other: usize, errors: u64) -> Result<ConfusedPair, Box<dyn Error>> {
    Ok(ConfusedPair {
        classes: [class_name(one), class_name(other)],
        errors,
        places: 1_264,
        example: [picture(one, one)?, picture(other, other)?],
        distance: 3.2 + 1.0 / errors as f64,
    })
}

/// Items without pictures.
fn texts() -> Strip {
    let item = |label: &str, id: &str| Picture {
        label: label.into(),
        id: id.into(),
        ..Picture::default()
    };
    Strip {
        query: item("billing", "How do I pay the invoice of last month?"),
        neighbours: vec![
            Neighbour {
                picture: item("billing", "Where can I pay my invoice?"),
                distance: 0.21,
                right: true,
            },
            Neighbour {
                picture: item("shipping", "When does last month's order arrive?"),
                distance: 0.34,
                right: false,
            },
        ],
        average_precision: 0.61,
    }
}

fn census() -> TripletCensus {
    TripletCensus {
        name: "all triplets, margin 0.2".into(),
        counts: CensusCounts {
            triplets: 8_148_236_640,
            selected: 8_148_236_640,
            active: 201_337_101,
            violated: 92_401_220,
            anchors: 10_000,
            anchors_without_positive: 3,
            anchors_without_negative: 0,
            mean_positive_distance: 4.1,
            mean_negative_distance: 7.9,
        },
    }
}
