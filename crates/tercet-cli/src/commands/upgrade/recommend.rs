//! What to do with the vectors of a gallery when its model is replaced.

use serde::Serialize;
use tercet::CrossModel;
use tercet::comparison::Difference;

use crate::table::share;

/// An action that gives at least this share of the gain of computing everything again is preferred
/// to that.
const ENOUGH: f64 = 0.9;

/// What is recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    /// Keep the stored vectors, and search with queries of the new model.
    Keep,
    /// Map the stored vectors by an adapter.
    Adapter,
    /// Compute the vectors again from the pictures.
    Backfill,
    /// Do not use the new model in this gallery.
    Refuse,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Recommendation {
    pub(super) action: Action,
    /// One sentence.
    pub(super) reason: String,
}

/// The recommendation by the figures. `with_pictures` is the share of the items whose pictures exist.
pub(super) fn recommend(measured: &CrossModel, with_pictures: f64) -> Recommendation {
    let gain = |case| measured.difference("map_at_r", "old_old", case);
    let recommend = |action, reason: String| Recommendation { action, reason };
    let Some(whole) = gain("new_new") else {
        return recommend(
            Action::Refuse,
            "whether the new model is better cannot be tested with fewer than two classes of two items: name a source with --measure".to_owned(),
        );
    };
    if !is_gain(whole) {
        let what = match whole.real {
            true => "worse than the old one",
            false => "not shown to be better than the old one",
        };
        return recommend(
            Action::Refuse,
            format!("the new model is {what} on these items (MAP@R {})", change(whole)),
        );
    }
    let enough = |found: Option<&Difference>| {
        found.is_some_and(|found| is_gain(found) && found.difference >= ENOUGH * whole.difference)
    };
    let (kept, adapted) = (gain("new_old"), gain("new_adapted"));
    if let (true, Some(kept)) = (enough(kept), kept) {
        return recommend(
            Action::Keep,
            format!(
                "new queries among the stored vectors already have most of the gain (MAP@R {}, all vectors computed again {})",
                change(kept),
                change(whole)
            ),
        );
    }
    if let (true, Some(adapted)) = (enough(adapted), adapted) {
        return recommend(
            Action::Adapter,
            format!(
                "adapted vectors have most of the gain and need no pictures (MAP@R {}, all vectors computed again {})",
                change(adapted),
                change(whole)
            ),
        );
    }
    if with_pictures > 0.5 {
        return recommend(
            Action::Backfill,
            format!(
                "only vectors that are computed again have the gain of the new model (MAP@R {})",
                change(whole)
            ),
        );
    }
    // Most pictures are missing: the better of the two ways that need none, if it gains at all.
    let ways = [(Action::Keep, kept), (Action::Adapter, adapted)];
    let gains = ways.into_iter().filter_map(|(action, found)| {
        found.filter(|found| is_gain(found)).map(|found| (action, found))
    });
    match gains.max_by(|x, y| x.1.difference.total_cmp(&y.1.difference)) {
        Some((action, found)) => recommend(
            action,
            format!(
                "most pictures do not exist any more, and this way gains without them (MAP@R {}, all vectors computed again {})",
                change(found),
                change(whole)
            ),
        ),
        None => recommend(
            Action::Refuse,
            "most pictures do not exist any more, and neither the stored nor adapted vectors gain by the new model".to_owned(),
        ),
    }
}

fn is_gain(found: &Difference) -> bool {
    found.real && found.difference > 0.0
}

/// Both means, such as `.812 to .847`.
fn change(found: &Difference) -> String {
    format!("{} to {}", share(found.first_mean), share(found.second_mean))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tercet::cross_model::Tested;

    use super::*;

    fn measured(gains: &[(&str, f64)]) -> CrossModel {
        let differences = gains.iter().map(|&(case, gain)| Tested {
            figure: "map_at_r",
            difference: Difference {
                first: "old_old".to_owned(),
                second: case.to_owned(),
                queries: 100,
                first_mean: 0.5,
                second_mean: 0.5 + gain,
                difference: gain,
                ci95: [gain - 0.01, gain + 0.01],
                p: 0.001,
                p_holm: 0.002,
                real: gain.abs() > 0.01,
            },
        });
        CrossModel { table: BTreeMap::new(), differences: differences.collect() }
    }

    #[test]
    fn the_cheapest_way_to_most_of_the_gain_is_recommended() {
        let action = |gains: &[(&str, f64)], with_pictures| {
            let found = recommend(&measured(gains), with_pictures);
            assert!(found.reason.len() > 30 && !found.reason.contains("NaN"), "{}", found.reason);
            found.action
        };
        let (whole, none) = (("new_new", 0.2), ("new_new", 0.005));
        assert_eq!(action(&[], 1.0), Action::Refuse);
        assert_eq!(action(&[none, ("new_old", 0.2)], 1.0), Action::Refuse);
        assert_eq!(action(&[("new_new", -0.2)], 1.0), Action::Refuse);
        assert_eq!(action(&[whole, ("new_old", 0.19), ("new_adapted", 0.2)], 1.0), Action::Keep);
        assert_eq!(action(&[whole, ("new_old", 0.1), ("new_adapted", 0.19)], 1.0), Action::Adapter);
        assert_eq!(action(&[whole, ("new_old", 0.1), ("new_adapted", 0.1)], 1.0), Action::Backfill);
        assert_eq!(action(&[whole], 0.6), Action::Backfill);
        // Without most of the pictures.
        assert_eq!(action(&[whole, ("new_old", 0.1), ("new_adapted", 0.12)], 0.1), Action::Adapter);
        assert_eq!(action(&[whole, ("new_old", 0.1)], 0.1), Action::Keep);
        assert_eq!(action(&[whole, ("new_old", -0.3), ("new_adapted", 0.0)], 0.1), Action::Refuse);
    }
}
