//! The expected mutual information of a random grouping.

/// E\[I\] over all ways to divide N items into groups and classes of the given sizes, exactly
/// (Vinh, Epps & Bailey, "Information Theoretic Measures for Clusterings Comparison", JMLR 2010,
/// eq. 24a).
///
/// The number of common items of a group of size a and a class of size b has the hypergeometric
/// distribution. Only the sizes matter, so each pair of sizes is computed once. Different sizes add
/// up to at most N, so there are at most √(2N) of them.
pub(super) fn expected_mutual_information(groups: &[u64], classes: &[u64]) -> f64 {
    let items: u64 = groups.iter().sum();
    let (groups, classes) = (multiplicities(groups), multiplicities(classes));
    let mut sum = 0.0;
    for &(group, group_times) in &groups {
        for &(class, class_times) in &classes {
            sum += group_times * class_times * expected_term(group, class, items);
        }
    }
    sum
}

/// Every size with the number of times it occurs.
fn multiplicities(sizes: &[u64]) -> Vec<(u64, f64)> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes.chunk_by(|x, y| x == y).map(|equal| (equal[0], equal.len() as f64)).collect()
}

/// A count whose probability is below this share of that of the most likely count is left out,
/// because it is too small to change the sum.
const NEGLIGIBLE: f64 = 1e-24;

/// Σ_n P(n) · n/N · ln(N·n / (a·b)), where P is the probability of n common items.
///
/// P is computed from its mode outwards by the ratio of neighbouring terms and divided by its sum.
/// It needs no factorials, whose logarithms lose digits as N grows.
fn expected_term(group: u64, class: u64, items: u64) -> f64 {
    let (a, b, n) = (group as f64, class as f64, items as f64);
    let least = (group + class).saturating_sub(items);
    let most = group.min(class);
    let mode = ((u128::from(group + 1) * u128::from(class + 1)) / u128::from(items + 2)) as u64;
    let mode = mode.clamp(least, most);
    let information = |common: u64| match common {
        0 => 0.0,
        common => common as f64 / n * (n * common as f64 / (a * b)).ln(),
    };
    // P(k+1) / P(k)
    let ratio = |k: f64| (a - k) * (b - k) / ((k + 1.0) * (n - a - b + k + 1.0));

    let (mut total, mut sum) = (1.0, information(mode));
    let mut weight = 1.0;
    for common in mode + 1..=most {
        weight *= ratio((common - 1) as f64);
        if weight < NEGLIGIBLE {
            break;
        }
        total += weight;
        sum += weight * information(common);
    }
    weight = 1.0;
    for common in (least..mode).rev() {
        weight /= ratio(common as f64);
        if weight < NEGLIGIBLE {
            break;
        }
        total += weight;
        sum += weight * information(common);
    }
    sum / total
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The mean of the mutual information over every ordering of the second labels.
    fn over_all_orderings(groups: &[u8], classes: &mut Vec<u8>, from: usize) -> (f64, f64) {
        if from == classes.len() {
            let n = groups.len() as f64;
            let share = |hit: &dyn Fn(usize) -> bool| {
                (0..groups.len()).filter(|&i| hit(i)).count() as f64 / n
            };
            let mut mutual = 0.0;
            for g in 0..4 {
                for c in 0..4 {
                    let both = share(&|i| groups[i] == g && classes[i] == c);
                    let product = share(&|i| groups[i] == g) * share(&|i| classes[i] == c);
                    if both > 0.0 {
                        mutual += both * (both / product).ln();
                    }
                }
            }
            return (mutual, 1.0);
        }
        let (mut sum, mut count) = (0.0, 0.0);
        for place in from..classes.len() {
            classes.swap(from, place);
            let (more, times) = over_all_orderings(groups, classes, from + 1);
            sum += more;
            count += times;
            classes.swap(from, place);
        }
        (sum, count)
    }

    fn sizes(labels: &[u8]) -> Vec<u64> {
        let count = |label: u8| labels.iter().filter(|&&l| l == label).count() as u64;
        (0..4).map(count).filter(|&size| size > 0).collect()
    }

    #[test]
    fn one_item_a_group_leaves_nothing_to_chance() {
        // I is then the entropy of the classes, whichever way they are divided.
        let expected = expected_mutual_information(&[1; 1000], &[900, 99, 1]);
        let entropy: f64 = [0.9_f64, 0.099, 0.001].iter().map(|p| -p * p.ln()).sum();
        assert!((expected - entropy).abs() < 1e-12);
    }

    #[test]
    fn large_groups_do_not_lose_digits() {
        // To first order E[I] = (G−1)(C−1) / (2N).
        let expected = expected_mutual_information(&[25_000_000; 4], &[20_000_000; 5]);
        assert!((expected * 2e8 / 12.0 - 1.0).abs() < 1e-4, "{expected}");
    }

    proptest! {
        #[test]
        fn it_is_the_mean_over_all_orderings(
            items in prop::collection::vec((0_u8..4, 0_u8..4), 1..8),
        ) {
            let groups: Vec<u8> = items.iter().map(|item| item.0).collect();
            let mut classes: Vec<u8> = items.iter().map(|item| item.1).collect();
            let got = expected_mutual_information(&sizes(&groups), &sizes(&classes));
            let (sum, count) = over_all_orderings(&groups, &mut classes, 0);
            prop_assert!((got - sum / count).abs() < 1e-12, "{got} instead of {}", sum / count);
        }
    }
}
