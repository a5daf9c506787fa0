//! Clustering: groups of items that are close to each other, found without labels and evaluated
//! with them.
//!
//! [`Clustering`] is the algorithm, [`Cut`] determines how fine the groups are, [`Groups`] is the
//! result, and [`Agreement`] measures how well it agrees with the true classes.
//!
//! ```
//! use ndarray::array;
//! use tercet::Labels;
//! use tercet::clustering::{Clustering, Cut, Options};
//!
//! let embeddings = array![[0.0_f32], [0.1], [5.0], [5.2], [9.0]];
//! let options = Options { cut: Cut::Threshold(1.0), ..Options::default() };
//! let groups = Clustering::AverageLinkage.group(embeddings.view(), &options)?;
//! assert_eq!(groups.clusters(), 3);
//! let judged = groups.judge(&Labels::from_iter(["ann", "ann", "bob", "bob", "bob"]))?;
//! assert_eq!((judged.pairwise_precision, judged.pairwise_recall), (1.0, 0.5));
//! # Ok::<(), tercet::Error>(())
//! ```

mod agglomerative;
mod agreement;
mod chinese_whispers;
mod contingency;
mod dbscan;
mod expected;
mod graph;
mod groups;
mod hdbscan;
mod k_means;
mod single_linkage;
mod spanning;
#[cfg(test)]
mod tests;

pub use agglomerative::LINKED_ITEMS;
pub use agreement::Agreement;
pub use graph::JOINED_PAIRS;
pub use groups::Groups;

use std::fmt;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::distance::Points;
use crate::named;
use crate::{Distance, Error, Metric};

/// The algorithm that groups items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clustering {
    /// `average-linkage`: repeatedly merges the two groups with the smallest mean distance between
    /// their items (UPGMA; FaceNet groups photo albums this way).
    #[default]
    AverageLinkage,
    /// `complete-linkage`: the same with the largest distance between items of two groups.
    CompleteLinkage,
    /// `single-linkage`: the same with the smallest distance between items of two groups.
    SingleLinkage,
    /// `ward`: the same with the increase of the squared deviations from the means; its heights are
    /// those of SciPy. Euclidean distance only.
    Ward,
    /// `k-means`: Lloyd's algorithm from a greedy k-means++ start, on the vectors that the metric
    /// compares (unit vectors for cosine). It finds exactly the requested number of groups.
    KMeans,
    /// `dbscan` (Ester et al. 1996): items with [`min_items`](Options::min_items) items within the
    /// threshold, themselves included, are dense. Dense items within the threshold of each other
    /// are in one group. Other items join the group of the nearest dense item within the threshold,
    /// or are noise.
    Dbscan,
    /// `hdbscan` (Campello, Moulavi & Sander 2013): the groups of at least
    /// [`min_items`](Options::min_items) items that persist longest while the threshold falls.
    /// Items in none of them are noise. It needs no threshold.
    Hdbscan,
    /// `chinese-whispers` (Biemann 2006): in random order, items take over the group of most of
    /// their neighbours within the threshold until nothing changes, as dlib does for faces.
    ChineseWhispers,
}

named!(
    Clustering,
    "clustering",
    [
        AverageLinkage = "average-linkage",
        CompleteLinkage = "complete-linkage",
        SingleLinkage = "single-linkage",
        Ward = "ward",
        KMeans = "k-means",
        Dbscan = "dbscan",
        Hdbscan = "hdbscan",
        ChineseWhispers = "chinese-whispers",
    ]
);

impl Clustering {
    /// Whether the algorithm takes a threshold.
    pub fn takes_threshold(self) -> bool {
        !matches!(self, Self::KMeans | Self::Hdbscan)
    }

    /// Whether the algorithm takes a number of groups.
    pub fn takes_clusters(self) -> bool {
        matches!(
            self,
            Self::AverageLinkage
                | Self::CompleteLinkage
                | Self::SingleLinkage
                | Self::Ward
                | Self::KMeans
        )
    }

    /// Groups the rows of a matrix.
    ///
    /// The same arguments give the same groups for any number of threads. For N items of D
    /// dimensions, time, and memory in addition to the vectors, are
    ///
    /// | algorithm | time | memory |
    /// |---|---|---|
    /// | `average-linkage`, `complete-linkage`, `ward` | O(N²·D) | N²/2 distances of 4 bytes, for up to [`LINKED_ITEMS`] items |
    /// | `single-linkage`, `hdbscan` | O(N²·D·log N) | O(N·D) |
    /// | `k-means` | O(N·K·D) per round | O(N·D) |
    /// | `dbscan`, `chinese-whispers` | O(N²·D) | 4 bytes for each of up to [`JOINED_PAIRS`] neighbours within the threshold |
    ///
    /// # Shapes
    /// - embeddings: N×D
    ///
    /// # Errors
    /// Vectors that are not finite, that are too long, or that have no dimensions; a cut that the
    /// algorithm does not take, a threshold that is negative or not a number, a number of groups
    /// that is 0 or above N, `min_items` of 0 (of 1 for `hdbscan`); more items or neighbours than
    /// the limits in the table; `ward` with another distance than Euclidean.
    pub fn group(self, embeddings: ArrayView2<f32>, options: &Options) -> Result<Groups, Error> {
        let points = Points::new(embeddings, options.metric)?;
        self.check(&points, options)?;
        let min_items = options.min_items;
        match (self, options.cut) {
            (Self::AverageLinkage, cut) => {
                agglomerative::group(&points, kodama::Method::Average, cut)
            }
            (Self::CompleteLinkage, cut) => {
                agglomerative::group(&points, kodama::Method::Complete, cut)
            }
            (Self::SingleLinkage, cut) => Ok(single_linkage::group(&points, cut)),
            (Self::Ward, cut) => agglomerative::group(&points, kodama::Method::Ward, cut),
            (Self::KMeans, Cut::Clusters(clusters)) => {
                k_means::group(&points, clusters, options.seed)
            }
            (Self::Dbscan, Cut::Threshold(threshold)) => {
                dbscan::group(&points, threshold, min_items)
            }
            (Self::Hdbscan, Cut::None) => Ok(hdbscan::group(&points, min_items)),
            (Self::ChineseWhispers, Cut::Threshold(threshold)) => {
                chinese_whispers::group(&points, threshold, options.seed)
            }
            (_, cut) => Err(self.refuse(cut)),
        }
    }

    fn refuse(self, cut: Cut) -> Error {
        Error::parameter(
            "cut",
            format!("{cut} for {self}"),
            match (self.takes_threshold(), self.takes_clusters()) {
                (true, true) => "a threshold or a number of groups",
                (true, false) => "a threshold",
                (false, true) => "a number of groups",
                (false, false) => "neither a threshold nor a number of groups",
            },
        )
    }

    fn check(self, points: &Points, options: &Options) -> Result<(), Error> {
        let refuse =
            |parameter, got: String, expected| Err(Error::parameter(parameter, got, expected));
        match options.cut {
            Cut::Threshold(_) if !self.takes_threshold() => Err(self.refuse(options.cut)),
            Cut::Clusters(_) if !self.takes_clusters() => Err(self.refuse(options.cut)),
            Cut::None if self != Self::Hdbscan => Err(self.refuse(options.cut)),
            Cut::Threshold(threshold) if !(threshold >= 0.0 && threshold.is_finite()) => {
                refuse("threshold", threshold.to_string(), "a finite distance of at least 0")
            }
            Cut::Clusters(clusters) if clusters == 0 || clusters > points.len() => refuse(
                "clusters",
                format!("{clusters} of {} items", points.len()),
                "at least 1 and at most one an item",
            ),
            _ if options.min_items == 0 => refuse("min_items", "0".to_owned(), "at least 1"),
            _ if self == Self::Hdbscan && options.min_items == 1 => {
                refuse("min_items", "1".to_owned(), "at least 2 items a group")
            }
            _ if self == Self::Ward && options.metric.distance != Distance::Euclidean => refuse(
                "distance",
                options.metric.to_string(),
                "euclidean, since ward's heights are Euclidean",
            ),
            _ => Ok(()),
        }
    }
}

/// How fine the groups are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// Determined by the data. Only [`Clustering::Hdbscan`] takes this.
    #[default]
    None,
    /// A distance in the unit of the metric: linkages merge groups up to it, and neighbours are
    /// items up to it. The threshold of a calibrated verification is a good choice.
    Threshold(f32),
    /// The number of groups.
    Clusters(usize),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no cut"),
            Self::Threshold(threshold) => write!(f, "a threshold of {threshold}"),
            Self::Clusters(clusters) => write!(f, "{clusters} groups"),
        }
    }
}

/// The options of a [`Clustering`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The distance between two items. Default: Euclidean.
    pub metric: Metric,
    /// How fine the groups are. Default: determined by the data.
    pub cut: Cut,
    /// The number of items of a dense region (`dbscan`) or of the smallest group (`hdbscan`).
    /// Default: 5, as in scikit-learn.
    pub min_items: usize,
    /// Seed of `k-means` and `chinese-whispers`. Default: 0.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { metric: Metric::default(), cut: Cut::None, min_items: 5, seed: 0 }
    }
}
