//! Reports about a training run or an evaluation as one HTML page.
//!
//! The page contains its style, charts and pictures: nothing is fetched, so it can be mailed,
//! archived or opened without a network. It follows the reader's light or dark setting and is
//! printed in black on white.
//!
//! The caller fills a [`TrainingReport`] or an [`EvaluationReport`], plain data without behaviour,
//! and writes the result of [`TrainingReport::to_html`] or [`EvaluationReport::to_html`] to a file.
//! Every string is escaped; values that are not finite are left out; long series are thinned so
//! that the page stays small.
//!
//! ```
//! use tercet_report::TrainingReport;
//!
//! let report = TrainingReport {
//!     title: "glyphs · batch-hard".into(),
//!     loss: vec![(0, 0.31), (100, 0.12), (200, 0.07)],
//!     ..TrainingReport::default()
//! };
//! let page = report.to_html()?;
//! assert!(page.starts_with("<!DOCTYPE html>"));
//! # Ok::<(), tercet_report::ReportError>(())
//! ```

mod chart;
mod evaluation;
mod map;
mod number;
mod page;
mod parts;
mod picture;
mod scale;
mod series;
mod training;

pub use evaluation::{
    Calibration, CensusCounts, ClassFigure, ClassFigures, Curve, Difference, Distances,
    EvaluationReport, OneShot, RankCurve, Reliability, RocCurve, TripletCensus,
};
pub use map::{EmbeddingMap, MapPoint, SpriteSheet};
pub use page::ReportError;
pub use parts::{
    Better, Column, ConfusedPair, DistanceHistogram, FigureRow, FigureTable, Measured, Neighbour,
    Picture, Quantity, Strip,
};
pub use training::{Judged, TrainingReport};

/// The example of the README is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
