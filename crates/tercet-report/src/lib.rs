//! Reports about a run of Tercet as one HTML page.
//!
//! The page carries its style, charts and pictures inside itself: nothing is fetched, so it can be
//! mailed, archived or opened without a network. It follows the reader's light or dark setting and
//! prints in black on white.
//!
//! The caller fills a [`TrainingReport`], plain data without behaviour, and writes the result of
//! [`TrainingReport::to_html`] to a file. Every string is escaped; values that are not finite are
//! skipped and counted; long series are thinned so that the page stays small.
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
mod page;
mod picture;
mod scale;
mod series;
mod training;

pub use page::ReportError;
pub use training::{
    DistanceHistogram, Judged, Measured, Neighbour, Picture, Strip, TrainingReport,
};
