//! After a collapse, the run returns to a checkpoint before it and continues with an easier task.

use serde::{Deserialize, Serialize};
use tercet::{Objective, Penalty, Reduction, Selection, TripletLoss};

/// One change that made a run's task easier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softening {
    /// The step at which the collapse was noticed.
    pub noticed: u64,
    /// The step to which the run returned.
    pub back_to: u64,
    /// What is easier from that step on.
    pub easing: Easing,
}

/// What can be made easier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Easing {
    /// Batch-all of "In Defense" (arXiv 1703.07737): all triplets with a hinge, instead of the
    /// hardest ones.
    AllTriplets,
    /// A tenth of the learning rate.
    TenthOfTheRate,
}

impl std::fmt::Display for Easing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AllTriplets => "all triplets and a hinge instead of the hardest",
            Self::TenthOfTheRate => "a tenth of the learning rate",
        })
    }
}

impl Easing {
    /// What to ease next in a run with this objective; none if everything that applies has been
    /// eased.
    pub(in crate::trainer) fn next(objective: &Objective, softened: &[Softening]) -> Option<Self> {
        let is_left = |easing| softened.iter().all(|softening| softening.easing != easing);
        let picks =
            matches!(objective, Objective::Triplet(loss) if loss.selection != Selection::All);
        [(Self::AllTriplets, picks), (Self::TenthOfTheRate, true)]
            .into_iter()
            .find_map(|(easing, applies)| (applies && is_left(easing)).then_some(easing))
    }
}

/// The margin of the hinge that replaces a soft margin. Over all triplets, a soft penalty would
/// push embeddings further apart without end, even those that are far apart already.
const MARGIN: f32 = 0.2;

/// The objective after everything in `softened` was eased. The metric does not change, so that
/// distances between embeddings keep their meaning.
pub(in crate::trainer) fn eased(objective: Objective, softened: &[Softening]) -> Objective {
    let all = softened.iter().any(|softening| softening.easing == Easing::AllTriplets);
    match objective {
        Objective::Triplet(loss) if all => {
            let penalty = match loss.penalty {
                Penalty::Soft { .. } => Penalty::Hinge { margin: MARGIN },
                hinge => hinge,
            };
            let (selection, reduction) = (Selection::All, Reduction::Mean);
            TripletLoss { metric: loss.metric, selection, penalty, reduction }.into()
        }
        objective => objective,
    }
}

/// The factor by which the learning rate is multiplied: 0.1 for each [`Easing::TenthOfTheRate`].
pub(in crate::trainer) fn rate_share(softened: &[Softening]) -> f64 {
    let tenths = softened.iter().filter(|softening| softening.easing == Easing::TenthOfTheRate);
    0.1_f64.powi(tenths.count() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tercet::Preset;

    #[test]
    fn selection_comes_first_then_the_rate_then_nothing() {
        let hard = Preset::BatchHard.loss();
        let mut softened = Vec::new();
        let mut next = |objective: &Objective| {
            let easing = Easing::next(objective, &softened);
            softened.extend(easing.map(|easing| Softening { noticed: 9, back_to: 3, easing }));
            easing
        };
        assert_eq!(next(&hard), Some(Easing::AllTriplets));
        assert_eq!(next(&hard), Some(Easing::TenthOfTheRate));
        assert_eq!(next(&hard), None);
        assert!((rate_share(&softened) - 0.1).abs() < 1e-15);
        let Objective::Triplet(easy) = eased(hard, &softened) else { panic!("another kind") };
        assert_eq!((easy.selection, easy.metric), (Selection::All, hard.metric()));
        assert_eq!(easy.penalty, Penalty::Hinge { margin: 0.2 });
        assert_eq!(Easing::next(&Preset::BatchAll.loss(), &[]), Some(Easing::TenthOfTheRate));
    }
}
