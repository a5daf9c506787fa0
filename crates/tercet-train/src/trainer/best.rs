//! The best evaluation so far, and the number of evaluations since that were not better.

use serde::{Deserialize, Serialize};

/// The best evaluation so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps done when it was made.
    pub step: u64,
    /// The value of the monitored figure, in f32, which JSON stores exactly.
    pub value: f32,
    /// The number of evaluations since then, none of which was better.
    pub without_gain: u64,
}

impl Best {
    /// Records an evaluation and returns true if it is the best so far. Of equal values the first
    /// stays the best.
    pub(super) fn judge(best: &mut Option<Self>, step: u64, value: f64) -> bool {
        let value = value as f32;
        match best {
            Some(best) if value <= best.value => {
                best.without_gain += 1;
                false
            }
            _ => {
                *best = Some(Self { step, value, without_gain: 0 });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_stays_and_patience_is_counted() {
        let mut best = None;
        let better: Vec<bool> = [0.3, 0.5, 0.5, 0.4, 0.6, 0.1]
            .into_iter()
            .zip(1..)
            .map(|(value, step)| Best::judge(&mut best, step, value))
            .collect();
        assert_eq!(better, [true, true, false, false, true, false]);
        assert_eq!(best, Some(Best { step: 5, value: 0.6, without_gain: 1 }));
    }
}
