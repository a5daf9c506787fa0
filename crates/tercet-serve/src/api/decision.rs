//! `/api/decision`: the threshold below which the hits of a search are considered the same, and its
//! basis.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use tercet::open_set::GallerySize;
use tercet_train::decision::{Ask, Decision, Evidence, FALSE_MATCHES};
use utoipa::ToSchema;

use super::about::{Curve, curve_of};
use crate::parameters::Parameters;
use crate::refusal::{ErrorBody, Refusal};
use crate::service::Service;

/// Rates of false matches that the page offers.
const RATES: [f64; 3] = [0.1, 0.01, 0.001];

/// The threshold or the rate of false matches that a search requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked(Ask);

impl Service {
    /// Parses the request's `threshold` or `false_matches`.
    pub(super) fn asked(query: &mut Parameters) -> Result<Asked, Refusal> {
        const EXPECTED: &str = "a number above 0 and at most 1";
        let rate = query.parsed::<f64>("false_matches", EXPECTED)?;
        match (Self::given_threshold(query)?, rate) {
            (Some(_), Some(_)) => Err(Refusal::malformed(
                "`threshold` and `false_matches` are two ways to choose the threshold: give one",
            )),
            (Some(threshold), None) => Ok(Asked(Ask::Distance(threshold as f32))),
            (None, Some(rate)) if !(rate > 0.0 && rate <= 1.0) => {
                Err(Refusal::parameter("false_matches", &rate.to_string(), EXPECTED))
            }
            (None, rate) => Ok(Asked(Ask::FalseMatches(rate.unwrap_or(FALSE_MATCHES)))),
        }
    }

    /// The decision for the gallery in its current state.
    pub(super) async fn decision(&self, Asked(ask): Asked) -> Result<Decision, Refusal> {
        let (evidence, size) = self.evidence().await?;
        Ok(evidence.decide(size, ask))
    }

    async fn evidence(&self) -> Result<(Arc<Evidence>, GallerySize), Refusal> {
        let card = self.embedder.as_ref().map(|embedder| embedder.card.clone());
        let evidences = self.evidences.clone();
        self.gallery.ask(move |reader| evidences.of(reader, card.as_deref())).await
    }
}

/// How hits of a search are decided.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Decided {
    /// Hits nearer than this are considered the same; null if no threshold is known.
    threshold: Option<f32>,
    /// The prior probability that a hit is the same, before its distance is known. It assumes that
    /// half of the queries belong to a class in the gallery, and that all classes are equally
    /// frequent.
    prior: f64,
    /// The largest expected number of false matches for a query whose class is not in the gallery.
    false_matches_per_query: Option<f64>,
    /// The expected share of queries whose class is in the gallery that are matched with it.
    expected_known_found: Option<f64>,
    /// The basis of the threshold: `model`, `model-scaled`, `gallery`, `false-accept-rates`,
    /// `pairs` or `given`.
    #[schema(value_type = Option<String>)]
    basis: Option<tercet_train::decision::Basis>,
    /// A remark about the basis.
    note: Option<String>,
    /// The calibrated probability as a function of the distance.
    curve: Option<Curve>,
    /// Thresholds for other rates of false matches.
    thresholds: Vec<AtRate>,
}

/// A threshold and the rate of false matches for which it is chosen.
#[derive(Debug, Serialize, ToSchema)]
struct AtRate {
    false_matches_per_query: f64,
    threshold: f32,
}

/// Returns the threshold of searches
#[utoipa::path(
    get,
    path = "/api/decision",
    tag = "about",
    params(
        ("threshold" = Option<f64>, Query, description = "What this threshold would mean"),
        ("false_matches" = Option<f64>, Query, description = "How many false matches a query of an unknown class may have on average; 0.01 unless said"),
    ),
    responses((status = 200, body = Decided), (status = "4XX", body = ErrorBody)),
)]
pub(super) async fn decision(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Json<Decided>, Refusal> {
    let mut query = Parameters::of(request.uri().query());
    let Asked(ask) = Service::asked(&mut query)?;
    query.end()?;
    let (evidence, size) = service.evidence().await?;
    let decision = evidence.decide(size, ask);
    let thresholds: Vec<AtRate> = RATES
        .into_iter()
        .filter_map(|rate| {
            let other = evidence.decide(size, Ask::FalseMatches(rate));
            let threshold = other.threshold.filter(|_| other.false_matches_per_query.is_some())?;
            Some(AtRate { false_matches_per_query: rate, threshold })
        })
        .collect();
    let card = service.embedder.as_ref().map(|embedder| &embedder.card);
    let pairs = card.and_then(|card| card.threshold);
    let marks = thresholds.iter().map(|at| f64::from(at.threshold)).chain(pairs);
    let marks: Vec<f64> = marks.chain(decision.threshold.map(f64::from)).collect();
    let curve = decision.probability(0.0).and_then(|_| {
        curve_of(&marks, |distance| decision.probability(distance).unwrap_or_default())
    });
    Ok(Json(Decided {
        threshold: decision.threshold,
        prior: decision.prior,
        false_matches_per_query: decision.false_matches_per_query,
        expected_known_found: decision.expected_known_found,
        basis: decision.basis,
        note: decision.note,
        curve,
        thresholds,
    }))
}
