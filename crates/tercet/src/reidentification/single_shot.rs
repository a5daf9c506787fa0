//! Single-shot evaluation: one gallery item per person, as in CUHK03.

use std::collections::BTreeMap;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::sightings::Search;
use super::{Sightings, by_rank, means_and_intervals, no_match};
use crate::distance::Points;
use crate::{Error, Metric};

/// The default number of galleries that are drawn for each query, as in torchreid.
pub const REPETITIONS: usize = 10;

/// The CMC with a gallery that holds a single, random item of every person (Li et al., "DeepReID",
/// CVPR 2014), as its mean over several such galleries.
///
/// Items are left out as in Market-1501. For every query and repetition, one of the remaining items
/// of every identity is drawn, as in torchreid, from a ChaCha8 stream of the seed for this query:
/// the result does not depend on the number of threads. Distractors of one identity, for example 0,
/// count as one person. Items at equal distance count with their expected rank-k hit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SingleShot {
    /// The number of queries with a match in the gallery.
    pub queries: u64,
    /// The number of queries left out because no other camera saw their identity.
    pub skipped_queries: u64,
    /// The number of galleries drawn for each query.
    pub repetitions: u64,
    /// The seed of the draws.
    pub seed: u64,
    /// Share of the queries whose match is among the first k, by k from 1 on, among the queries
    /// that have a match.
    pub cmc: BTreeMap<usize, f64>,
    /// 95 % intervals by the bootstrap over the identities of the queries.
    pub cmc_ci95: BTreeMap<usize, [f64; 2]>,
}

impl SingleShot {
    /// Evaluates every query in `repetitions` galleries ([`REPETITIONS`] by default). The CMC runs
    /// to rank `ranks` or to the number of people.
    ///
    /// # Shapes
    /// - queries: Q×D with Q identities and cameras; gallery: G×D with G of each
    ///
    /// # Errors
    /// The errors of [`Reidentification::judge`](super::Reidentification::judge), and
    /// `repetitions` = 0.
    pub fn judge(
        queries: Sightings,
        gallery: Sightings,
        metric: Metric,
        ranks: usize,
        repetitions: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        for (parameter, value) in [("ranks", ranks), ("repetitions", repetitions)] {
            if value == 0 {
                let expected = "at least 1";
                return Err(Error::parameter(parameter, value.to_string(), expected));
            }
        }
        let search = Search::new(queries, gallery)?;
        let people = search.people();
        let ranks = ranks.min(people.len());
        let gallery = Points::new(gallery.embeddings, metric)?;
        let points = gallery.beside(queries.embeddings)?;
        let answers = points.sweep(&gallery, |query, distances| {
            let matches = search.admit(query, distances);
            if matches.is_empty() {
                return None;
            }
            let mut stream = ChaCha8Rng::seed_from_u64(seed);
            stream.set_stream(query as u64);
            let mut cmc = vec![0.0; ranks];
            for _ in 0..repetitions {
                let own = distances[matches[stream.random_range(0..matches.len())]];
                let (mut nearer, mut tied) = (0, 0);
                for &(id, items) in &people {
                    if id == queries.ids[query] {
                        continue;
                    }
                    let other = distances[items[stream.random_range(0..items.len())] as usize];
                    nearer += usize::from(other < own);
                    tied += usize::from(other == own);
                }
                for (place, hit) in cmc.iter_mut().enumerate() {
                    let places = (place + 1).saturating_sub(nearer).min(tied + 1);
                    *hit += places as f64 / (tied + 1) as f64;
                }
            }
            cmc.iter_mut().for_each(|hits| *hits /= repetitions as f64);
            Some((query, cmc))
        });
        let asked = answers.len();
        let answers: Vec<(usize, Vec<f64>)> = answers.into_iter().flatten().collect();
        if answers.is_empty() {
            return Err(no_match(asked, gallery.len()));
        }
        let columns: Vec<Vec<f64>> =
            (0..ranks).map(|place| answers.iter().map(|(_, cmc)| cmc[place]).collect()).collect();
        let ids = answers.iter().map(|&(query, _)| queries.ids[query]);
        let (means, intervals) = means_and_intervals(&columns, ids)?;
        Ok(Self {
            queries: answers.len() as u64,
            skipped_queries: (asked - answers.len()) as u64,
            repetitions: repetitions as u64,
            seed,
            cmc: by_rank(&means),
            cmc_ci95: by_rank(&intervals),
        })
    }
}
