//! Negatives that are probably false.

use serde::{Deserialize, Serialize};

use super::Objective;
use crate::{Distance, Error};

/// Which negatives are probably false, because they are too similar to the anchor: n is ignored for
/// the pair (a, p) if
///
/// ```text
/// s(a,n) > c · s(a,p)
/// ```
///
/// with the cosine similarity s. This is positive-aware mining by a percentage of the positive's
/// similarity ("TopK-PercPos" of NV-Retriever, arXiv 2407.15831, section 3.1; c = 0.95 there), as a
/// modifier of any selection: the selection chooses among the negatives that are left. A pair with a
/// positive that is far away, possibly a wrong label, loses most of its negatives.
///
/// The negatives that are left depend on the positive, so triplets are listed one by one: the cost
/// of a batch is that of its B·P·N comparisons.
///
/// ```
/// use ndarray::array;
/// use tercet::{FalseNegatives, Labels, TripletLoss};
/// // The third vector is as near to the first as its positive is: its label may be wrong.
/// let embeddings = array![[1.0_f32, 0.0], [0.8, 0.6], [0.81, 0.59], [-1.0, 0.1], [-1.0, 0.0]];
/// let labels = Labels::from_iter(["ann", "ann", "bob", "bob", "bob"]);
/// let outcome = TripletLoss::facenet()
///     .evaluation(embeddings.view(), &labels)
///     .without_false_negatives(FalseNegatives::default())
///     .run()?;
/// assert!(outcome.census.filtered > 0);
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FalseNegatives {
    /// The share c of the positive's similarity above which a negative is ignored, in (0, 1].
    /// Default: 0.95.
    pub share: f32,
}

impl Default for FalseNegatives {
    fn default() -> Self {
        Self { share: 0.95 }
    }
}

impl FalseNegatives {
    /// The distance below which negatives are ignored, for a positive at this distance.
    ///
    /// From s > c·s_p: with d = 1 − s (cosine) it is 1 − c + c·d_p; with d = 2 − 2s (squared
    /// Euclidean) 2(1 − c) + c·d_p; with d² = 2 − 2s (Euclidean) the root of 2(1 − c) + c·d_p².
    #[inline]
    pub(in crate::objective) fn nearest_kept(self, distance: Distance, d_ap: f32) -> f32 {
        let c = self.share;
        match distance {
            Distance::Cosine => (1.0 - c) + c * d_ap,
            Distance::SquaredEuclidean => 2.0 * (1.0 - c) + c * d_ap,
            Distance::Euclidean => (2.0 * (1.0 - c) + c * d_ap * d_ap).sqrt(),
        }
    }

    /// Checks that the filter can be used with an objective.
    ///
    /// # Errors
    /// A share outside (0, 1]; distances of vectors that are not normalised, which do not give
    /// their similarity; an objective without a selection of triplets.
    pub fn check(self, objective: &Objective) -> Result<(), Error> {
        let refuse = |got: String, expected: &str| {
            Err(Error::parameter("false_negatives", got, expected.to_owned()))
        };
        if !(self.share > 0.0 && self.share <= 1.0) {
            return refuse(self.share.to_string(), "a share of the similarity in (0, 1]");
        }
        let Objective::Triplet(loss) = objective else {
            return refuse(
                objective.to_string(),
                "an objective that selects triplets, such as facenet or batch-hard",
            );
        };
        if loss.metric.on_sphere() {
            return Ok(());
        }
        refuse(
            loss.metric.to_string(),
            "normalised embeddings or the cosine distance, whose distances give similarities",
        )
    }
}
