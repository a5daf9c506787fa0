//! One query's ranked gallery, with ties judged by their expected value.
//!
//! Gallery items at the same distance have no order, so every figure here is its mean over all
//! orderings of the tied items, in closed form. A group of n tied items of which r are relevant,
//! behind s closer items of which c are relevant, has at its j-th place (counted from 1)
//!
//! - a relevant item with probability r/n,
//! - E\[rel · P(s+j)\] = r/n · (c + 1 + (j−1)(r−1)/(n−1)) / (s+j), with P the precision,
//! - the first relevant item with probability C(n−j, r−1) / C(n, r).
//!
//! (McSherry & Najork, "Computing Information Retrieval Performance Measures Efficiently in the
//! Presence of Tied Scores", ECIR 2008.) Groups without a relevant item only shift ranks.

/// Up to this many distinct relevant distances the row is counted against each in turn, which
/// vectorises; beyond it every item is placed by binary search.
const COUNTED_IN_TURN: usize = 16;

/// Items at one distance, at least one of them relevant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tied {
    /// Items closer to the query than these.
    before: usize,
    /// Relevant items among those.
    hits_before: usize,
    /// Items at this distance.
    size: usize,
    /// Relevant items among them; at least 1.
    relevant: usize,
}

/// Where the relevant items of a query stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranking {
    groups: Vec<Tied>,
    relevant: usize,
}

impl Ranking {
    /// Ranks `distances` around those of the relevant columns. None without a relevant column.
    ///
    /// A column that takes no part (the query itself) holds infinity.
    pub(crate) fn new(distances: &[f32], relevant: impl Iterator<Item = usize>) -> Option<Self> {
        let mut hits: Vec<f32> = relevant.map(|column| distances[column]).collect();
        if hits.is_empty() {
            return None;
        }
        hits.sort_unstable_by(f32::total_cmp);
        let places: Vec<f32> = hits.chunk_by(|x, y| x == y).map(|tied| tied[0]).collect();
        let counts = count(distances, &places);
        let mut hits_before = 0;
        let groups = hits
            .chunk_by(|x, y| x == y)
            .zip(counts)
            .map(|(tied, (before, size))| {
                let relevant = tied.len();
                hits_before += relevant;
                Tied { before, hits_before: hits_before - relevant, size, relevant }
            })
            .collect();
        Some(Self { groups, relevant: hits.len() })
    }

    /// R, the number of relevant items.
    pub(crate) fn relevant(&self) -> usize {
        self.relevant
    }

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

    /// Relevant items among the first R, divided by R.
    pub(crate) fn r_precision(&self) -> f64 {
        let hits: f64 = self
            .groups
            .iter()
            .map(|group| {
                let reached = self.relevant.saturating_sub(group.before).min(group.size);
                group.relevant as f64 * reached as f64 / group.size as f64
            })
            .sum();
        hits / self.relevant as f64
    }

    /// Average precision cut at rank R: (1/R) Σ_{i≤R} P(i)·rel(i).
    pub(crate) fn average_precision_at_r(&self) -> f64 {
        self.precision_sum(self.relevant) / self.relevant as f64
    }

    /// Average precision over all ranks: (1/R) Σ_i P(i)·rel(i).
    pub(crate) fn average_precision(&self) -> f64 {
        self.precision_sum(usize::MAX) / self.relevant as f64
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
            let reached = last.saturating_sub(group.before).min(group.size);
            let share = group.relevant as f64 / group.size as f64;
            let slope = match group.size {
                1 => 0.0,
                size => (group.relevant - 1) as f64 / (size - 1) as f64,
            };
            let own = (group.hits_before + 1) as f64;
            for j in 0..reached {
                sum += share * (own + j as f64 * slope) / (group.before + j + 1) as f64;
            }
        }
        sum
    }
}

/// For each of the rising `places`: how many distances lie below it, and how many equal it.
fn count(distances: &[f32], places: &[f32]) -> Vec<(usize, usize)> {
    if places.len() <= COUNTED_IN_TURN {
        let each = |&place: &f32| {
            let below: u32 = distances.iter().map(|&d| u32::from(d < place)).sum();
            let equal: u32 = distances.iter().map(|&d| u32::from(d == place)).sum();
            (below as usize, equal as usize)
        };
        return places.iter().map(each).collect();
    }
    let mut upto = vec![0; places.len()];
    let mut equal = vec![0; places.len()];
    let farthest = places[places.len() - 1];
    for &distance in distances {
        if distance <= farthest {
            let place = places.partition_point(|&place| place < distance);
            upto[place] += 1;
            equal[place] += usize::from(distance == places[place]);
        }
    }
    let mut seen = 0;
    upto.iter()
        .zip(equal)
        .map(|(&count, equal)| {
            seen += count;
            (seen - equal, equal)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranking(distances: &[f32], relevant: &[bool]) -> Ranking {
        let columns = (0..relevant.len()).filter(|&column| relevant[column]);
        Ranking::new(distances, columns).unwrap()
    }

    /// R-precision, AP at R, AP, reciprocal rank, recall at 1, 2 and 4, by definition, of a list
    /// without ties.
    fn plain(ranked: &[bool]) -> [f64; 7] {
        let relevant = ranked.iter().filter(|&&hit| hit).count();
        let hits = |k: usize| ranked.iter().take(k).filter(|&&hit| hit).count();
        let average_precision = |last: usize| {
            let precisions = (0..last.min(ranked.len()))
                .filter(|&i| ranked[i])
                .map(|i| hits(i + 1) as f64 / (i + 1) as f64);
            precisions.sum::<f64>() / relevant as f64
        };
        let first = ranked.iter().position(|&hit| hit).unwrap();
        [
            hits(relevant) as f64 / relevant as f64,
            average_precision(relevant),
            average_precision(usize::MAX),
            1.0 / (first + 1) as f64,
            f64::from(u8::from(first < 1)),
            f64::from(u8::from(first < 2)),
            f64::from(u8::from(first < 4)),
        ]
    }

    fn figures(ranking: &Ranking) -> [f64; 7] {
        [
            ranking.r_precision(),
            ranking.average_precision_at_r(),
            ranking.average_precision(),
            ranking.reciprocal_rank(),
            ranking.recall_at(1),
            ranking.recall_at(2),
            ranking.recall_at(4),
        ]
    }

    /// Calls `visit` with every ordering of `items` by distance, ties in every order.
    fn orderings(
        rest: &mut Vec<(u8, bool)>,
        taken: &mut Vec<bool>,
        visit: &mut impl FnMut(&[bool]),
    ) {
        let Some(&(closest, _)) = rest.iter().min_by_key(|item| item.0) else {
            return visit(taken);
        };
        for i in 0..rest.len() {
            if rest[i].0 == closest {
                let item = rest.remove(i);
                taken.push(item.1);
                orderings(rest, taken, visit);
                taken.pop();
                rest.insert(i, item);
            }
        }
    }

    fn assert_close(got: &[f64], expected: &[f64]) {
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{got} instead of {expected}");
        }
    }

    #[test]
    fn known_average_precisions() {
        let judged = |relevant: &[bool]| {
            let distances: Vec<f32> = (0..relevant.len()).map(|rank| rank as f32).collect();
            ranking(&distances, relevant).average_precision()
        };
        assert_close(&[judged(&[true, false, true, false])], &[5.0 / 6.0]);
        assert_close(&[judged(&[false, true])], &[0.5]);
    }

    #[test]
    fn without_relevant_items_there_is_no_ranking() {
        assert_eq!(Ranking::new(&[1.0, 2.0], std::iter::empty()), None);
    }

    #[test]
    fn a_huge_tied_group_stays_finite() {
        let distances = vec![0.0; 20_000];
        let judged = Ranking::new(&distances, 0..10_000).unwrap();
        for figure in figures(&judged) {
            assert!((0.0..=1.0).contains(&figure), "{figure}");
        }
        assert_close(&[judged.r_precision()], &[0.5]);
        let lone = Ranking::new(&distances, 0..1).unwrap();
        assert_close(&[lone.recall_at(100)], &[0.005]);
        let harmonic: f64 = (1..=20_000).map(|rank| 1.0 / f64::from(rank)).sum();
        assert_close(&[lone.reciprocal_rank()], &[harmonic / 20_000.0]);
    }

    proptest! {
        #[test]
        fn ties_have_their_mean_over_all_orderings(
            items in prop::collection::vec((0_u8..4, any::<bool>()), 1..8),
        ) {
            prop_assume!(items.iter().any(|item| item.1));
            let mut sums = [0.0; 7];
            let mut count = 0.0;
            orderings(&mut items.clone(), &mut Vec::new(), &mut |ranked| {
                for (sum, figure) in sums.iter_mut().zip(plain(ranked)) {
                    *sum += figure;
                }
                count += 1.0;
            });
            let distances: Vec<f32> = items.iter().map(|item| f32::from(item.0)).collect();
            let relevant: Vec<bool> = items.iter().map(|item| item.1).collect();
            assert_close(&figures(&ranking(&distances, &relevant)), &sums.map(|sum| sum / count));
        }

        #[test]
        fn without_ties_it_is_the_plain_definition(
            items in prop::collection::btree_map(0_u32..100_000, any::<bool>(), 1..120),
        ) {
            prop_assume!(items.values().any(|&relevant| relevant));
            let distances: Vec<f32> = items.keys().map(|&distance| distance as f32).collect();
            let relevant: Vec<bool> = items.values().copied().collect();
            assert_close(&figures(&ranking(&distances, &relevant)), &plain(&relevant));
        }

        #[test]
        fn both_ways_of_counting_agree(
            distances in prop::collection::vec(0_u8..60, 1..200),
            places in prop::collection::btree_set(0_u8..60, COUNTED_IN_TURN + 1..40),
        ) {
            let distances: Vec<f32> = distances.into_iter().map(f32::from).collect();
            let places: Vec<f32> = places.into_iter().map(f32::from).collect();
            let at_once = count(&distances, &places);
            let in_turn: Vec<(usize, usize)> =
                places.iter().flat_map(|&place| count(&distances, &[place])).collect();
            prop_assert_eq!(at_once, in_turn);
        }
    }
}
