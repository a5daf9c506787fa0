//! The pages as their templates receive them: texts and positions, with all arithmetic done.

mod confused;
mod evaluation;
mod glossary;
mod headline;
mod strip;
mod table;
mod training;

/// The report could not be rendered as HTML.
#[derive(Debug, thiserror::Error)]
#[error("the report could not be laid out as HTML")]
pub struct ReportError(#[from] askama::Error);

const STYLE: &str = include_str!("../../templates/style.css");
const HOVER: &str = include_str!("../../templates/hover.js");
const ZOOM: &str = include_str!("../../templates/zoom.js");
const MAP_SCRIPT: &str = include_str!("../../templates/map.js");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A share as a CSS length in percent.
fn length(share: f64) -> String {
    format!("{:.2}%", share.clamp(0.0, 1.0) * 100.0)
}
