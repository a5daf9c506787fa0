//! The data that both reports contain.

use serde::Serialize;

/// A measured value with its uncertainty, if that is known. It is a share from 0 to 1 unless its
/// column says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// The value; a value that is not finite is shown as a dash.
    pub value: f64,
    /// The 95 % bootstrap interval, lower and upper end.
    pub interval: Option<[f64; 2]>,
}

impl Default for Measured {
    /// A value that was not measured: NaN, shown as a dash.
    fn default() -> Self {
        Self { value: f64::NAN, interval: None }
    }
}

/// The distributions of the distances of pairs, within classes and between them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DistanceHistogram {
    /// The name of the histogram, e.g. `before`.
    pub name: String,
    /// The lower end of the first bin.
    pub from: f64,
    /// The upper end of the last bin.
    pub to: f64,
    /// The share of same-class pairs in each of the equally wide bins.
    pub same: Vec<f64>,
    /// The share of different-class pairs in each of the equally wide bins.
    pub different: Vec<f64>,
}

/// A query with its nearest neighbours, nearest first.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Strip {
    /// The picture of the query.
    pub query: Picture,
    /// The results, nearest first.
    pub neighbours: Vec<Neighbour>,
    /// The average precision of this query, from 0 to 1.
    pub average_precision: f64,
}

/// A picture among the results of a query.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Neighbour {
    /// The picture itself.
    pub picture: Picture,
    /// Its distance from the query.
    pub distance: f64,
    /// Whether it is of the same class as the query.
    pub right: bool,
}

/// Two classes that are confused.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ConfusedPair {
    /// The two classes.
    pub classes: [String; 2],
    /// Of the R nearest neighbours of the queries of both classes, those of the other class.
    pub errors: u64,
    /// All of these neighbours, whatever their class.
    pub places: u64,
    /// The nearest pair of items that were confused: the query, and the result.
    pub example: [Picture; 2],
    /// The distance of this pair.
    pub distance: f64,
}

/// A picture with its class and its name.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Picture {
    /// The bytes of a PNG file; any other file is shown as an empty frame. Left out when
    /// serialised.
    #[serde(skip)]
    pub png: Vec<u8>,
    /// The class.
    pub label: String,
    /// What identifies the picture, usually its file name.
    pub id: String,
}

/// A table of measured figures, one row per system.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FigureTable {
    /// The heading, e.g. `Retrieval, leave-one-out`.
    pub name: String,
    /// The measures.
    pub columns: Vec<Column>,
    /// The systems.
    pub rows: Vec<FigureRow>,
}

/// A measure as a column of a table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Column {
    /// The measure, e.g. `Recall@1`.
    pub name: String,
    /// How its values are written.
    pub quantity: Quantity,
    /// Which values are better.
    pub better: Better,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Quantity {
    /// A share from 0 to 1, written in percent with a bar.
    #[default]
    Share,
    /// A number with three significant digits.
    Number,
    /// A whole number.
    Count,
}

/// Which values of a measure are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Better {
    /// More is better.
    #[default]
    Higher,
    /// Less is better.
    Lower,
    /// The values are not ranked.
    Neither,
}

/// The figures of one system.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FigureRow {
    /// The system.
    pub name: String,
    /// Its values in the order of the columns; missing ones were not measured.
    pub values: Vec<Measured>,
}
