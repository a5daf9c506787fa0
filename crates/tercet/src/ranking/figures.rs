//! The figures of a ranking.

use super::{Ranking, Tied};

impl Ranking {
    /// The probability that one of the first `k` items is relevant.
    pub(crate) fn recall_at(&self, k: usize) -> f64 {
        let Some(first) = self.groups.first() else {
            return 0.0;
        };
        let drawn = k.saturating_sub(first.before);
        let irrelevant = first.size - first.relevant;
        if drawn > irrelevant {
            return 1.0;
        }
        // C(n−r, t) / C(n, t) as a product of t factors below 1: no overflow.
        let missed: f64 =
            (0..drawn).map(|i| (irrelevant - i) as f64 / (first.size - i) as f64).product();
        1.0 - missed
    }

    /// Relevant items among the first `k`.
    pub(crate) fn hits_at(&self, k: usize) -> f64 {
        self.groups
            .iter()
            .map(|group| group.relevant as f64 * group.reached(k) as f64 / group.size as f64)
            .sum()
    }

    /// Relevant items among the first R, divided by R.
    pub(crate) fn r_precision(&self) -> f64 {
        self.hits_at(self.relevant) / self.relevant as f64
    }

    /// Average precision cut at rank R: (1/R) Σ_{i≤R} P(i)·rel(i).
    pub(crate) fn average_precision_at_r(&self) -> f64 {
        self.precision_sum(self.relevant) / self.relevant as f64
    }

    /// Average precision over all ranks: (1/R) Σ_i P(i)·rel(i).
    pub(crate) fn average_precision(&self) -> f64 {
        self.precision_sum(usize::MAX) / self.relevant as f64
    }

    /// Average precision by trapezoids, as in the code of Market-1501:
    /// (1/R) Σ_i rel(i)·(P(i−1) + P(i))/2 with P(0) = 1.
    pub(crate) fn average_precision_market(&self) -> f64 {
        let mut sum = 0.0;
        for group in &self.groups {
            let slope = group.slope();
            for j in 0..group.size {
                let hits = group.hits_before as f64 + j as f64 * slope;
                let behind = group.before + j;
                let before = if behind == 0 { 1.0 } else { hits / behind as f64 };
                sum += group.share() * (before + (hits + 1.0) / (behind + 1) as f64) / 2.0;
            }
        }
        sum / self.relevant as f64
    }

    /// Normalised discounted cumulative gain over all ranks, with binary relevance: Σ_i
    /// rel(i)/log₂(i+1), divided by this sum for a perfect ranking.
    pub(crate) fn ndcg(&self) -> f64 {
        let discount = |rank: usize| 1.0 / ((rank + 1) as f64).log2();
        let gained = |group: &Tied| {
            let sum: f64 = (1..=group.size).map(|j| discount(group.before + j)).sum();
            group.share() * sum
        };
        let best: f64 = (1..=self.relevant).map(discount).sum();
        self.groups.iter().map(gained).sum::<f64>() / best
    }

    /// R / rank of the last relevant item.
    pub(crate) fn inverse_negative_penalty(&self) -> f64 {
        let Some(last) = self.groups.last() else {
            return 0.0;
        };
        let mut probability = last.share();
        let mut sum = 0.0;
        for j in (last.relevant..=last.size).rev() {
            sum += probability / (last.before + j) as f64;
            if j > last.relevant {
                // C(j−2, r−1) / C(j−1, r−1)
                probability *= (j - last.relevant) as f64 / (j - 1) as f64;
            }
        }
        sum * self.relevant as f64
    }

    /// The best precision at a recall of at least 0, 1/`steps`, …, 1. Tied items are added
    /// together.
    pub(crate) fn interpolated_precision(&self, steps: usize) -> Vec<f32> {
        let mut curve = vec![0.0; steps + 1];
        let mut best = 0.0_f64;
        let mut level = steps + 1;
        for group in self.groups.iter().rev() {
            let hits = group.hits_before + group.relevant;
            // The levels above the recall of this group have their precision from farther groups.
            let reached = hits * steps / self.relevant;
            curve[reached + 1..level].fill(best as f32);
            level = reached + 1;
            best = best.max(hits as f64 / (group.before + group.size) as f64);
        }
        curve[..level].fill(best as f32);
        curve
    }

    /// 1 / rank of the first relevant item.
    pub(crate) fn reciprocal_rank(&self) -> f64 {
        let Some(first) = self.groups.first() else {
            return 0.0;
        };
        let irrelevant = first.size - first.relevant;
        let mut probability = first.relevant as f64 / first.size as f64;
        let mut sum = 0.0;
        for j in 1..=irrelevant + 1 {
            sum += probability / (first.before + j) as f64;
            if j <= irrelevant {
                // C(n−j−1, r−1) / C(n−j, r−1)
                probability *= (irrelevant + 1 - j) as f64 / (first.size - j) as f64;
            }
        }
        sum
    }

    /// Σ_{i≤last} E\[P(i)·rel(i)\].
    fn precision_sum(&self, last: usize) -> f64 {
        let mut sum = 0.0;
        for group in &self.groups {
            let (share, slope) = (group.share(), group.slope());
            let own = (group.hits_before + 1) as f64;
            for j in 0..group.reached(last) {
                sum += share * (own + j as f64 * slope) / (group.before + j + 1) as f64;
            }
        }
        sum
    }
}

impl Tied {
    /// How many of these items are among the first `last`.
    fn reached(&self, last: usize) -> usize {
        last.saturating_sub(self.before).min(self.size)
    }

    /// The probability that a rank of the group has a relevant item.
    fn share(&self) -> f64 {
        self.relevant as f64 / self.size as f64
    }

    /// Given a relevant item at one rank, the probability of one at another rank.
    fn slope(&self) -> f64 {
        match self.size {
            1 => 0.0,
            size => (self.relevant - 1) as f64 / (size - 1) as f64,
        }
    }
}
