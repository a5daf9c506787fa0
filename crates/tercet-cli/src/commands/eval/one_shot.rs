//! `--protocol one-shot`: classification by one or a few examples per class.

use clap::Args;
use serde_json::json;
use tercet::Labels;
use tercet::bootstrap::{RESAMPLES, SEED, over_classes};
use tercet::one_shot::{EpisodeOptions, Episodes, OneShot, Prototype};

use super::system::System;
use super::verdict::{Detail, Figure, Judgements, Quantity, Verdict, document};
use crate::table::count;

#[derive(Debug, Args)]
pub(super) struct OneShotOptions {
    /// For one-shot without given runs: classes of an episode.
    #[arg(long, value_name = "N", default_value_t = EpisodeOptions::default().ways)]
    ways: usize,
    /// Examples of each class.
    #[arg(long, value_name = "K", default_value_t = EpisodeOptions::default().shots)]
    shots: usize,
    /// Queries of each class, at most.
    #[arg(long, value_name = "N", default_value_t = EpisodeOptions::default().queries)]
    episode_queries: usize,
    /// Episodes drawn.
    #[arg(long, value_name = "N", default_value_t = EpisodeOptions::default().episodes)]
    episodes: usize,
    /// What represents a class: nearest (example) or mean.
    #[arg(long, default_value_t)]
    prototype: Prototype,
}

impl OneShotOptions {
    pub(super) fn judge(&self, system: &System, seed: u64) -> anyhow::Result<Verdict> {
        match &system.runs {
            Some(runs) => {
                let judged = OneShot::judge(system.vectors.view(), runs, system.metric)?;
                given(judged)
            }
            None => {
                let distinct = system.distinct();
                let mut verdict = self.drawn(&distinct.system, seed)?;
                verdict.conventions.extend(distinct.convention);
                Ok(verdict)
            }
        }
    }

    fn drawn(&self, system: &System, seed: u64) -> anyhow::Result<Verdict> {
        let options = EpisodeOptions {
            episodes: self.episodes,
            ways: self.ways,
            shots: self.shots,
            queries: self.episode_queries,
            prototype: self.prototype,
            seed,
        };
        let judged =
            Episodes::judge(system.vectors.view(), &system.labels, system.metric, &options)?;
        let error = 1.0 - judged.accuracy;
        let mut keys = document(&judged)?;
        keys["error"] = json!(error);
        keys["ways"] = json!(self.ways);
        keys["shots"] = json!(self.shots);
        let interval = [1.0 - judged.ci95[1], 1.0 - judged.ci95[0]];
        let figures = vec![
            Figure::share("error", error).within(interval).of(Quantity::Error),
            Figure::share("accuracy", judged.accuracy).within(judged.ci95),
        ];
        let mut conventions = vec![
            format!(
                "{} episodes of {} ways and {} shots, up to {} queries a class, drawn from {} classes; {} prototype.",
                count(self.episodes),
                self.ways,
                self.shots,
                self.episode_queries,
                count(judged.classes as usize),
                self.prototype
            ),
            "The interval says how far more episodes would move the mean (1.96 standard errors), not other classes.".to_owned(),
        ];
        if judged.skipped_classes > 0 {
            conventions.push(format!(
                "{} classes have no more than {} items and are left out.",
                count(judged.skipped_classes as usize),
                self.shots
            ));
        }
        Ok(Verdict { document: keys, figures, conventions, scores: None, detail: Detail::Episodes })
    }
}

/// The verdict on runs that the source defines, such as Lake's for Omniglot.
fn given(judged: OneShot) -> anyhow::Result<Verdict> {
    let runs = judged.runs.len();
    let accuracy: tercet::comparison::Scores =
        (0..).zip(judged.runs.iter().map(|error| 1.0 - error)).collect();
    let numbers: Vec<u32> = (0..runs as u32).collect();
    let interval = over_classes(&judged.runs, &numbers, RESAMPLES, SEED)?;
    let mut keys = document(&judged)?;
    keys["ci95"] = json!({ "error": interval });
    Ok(Verdict {
        document: keys,
        figures: vec![
            Figure::share("error", judged.error).within(interval).of(Quantity::Error),
            Figure::share("trials", judged.trials as f64).of(Quantity::Count),
        ],
        conventions: vec![
            format!(
                "{runs} given runs; every test item takes the class of its nearest training item, independently of the others."
            ),
            "Ties in distance count with their expected error; the error is the mean over runs."
                .to_owned(),
        ],
        scores: (runs > 1).then(|| Judgements {
            by_figure: vec![("accuracy", accuracy)],
            classes: (0..runs).collect::<Labels>(),
        }),
        detail: Detail::OneShot(judged),
    })
}
