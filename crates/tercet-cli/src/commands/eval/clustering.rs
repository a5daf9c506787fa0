//! `--protocol clustering`: groups found without labels, compared with the classes.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use tercet::Verification;
use tercet::clustering::{Clustering, Cut};
use tercet_train::judgement;

use super::system::System;
use super::verdict::{Detail, Figure, Quantity, Verdict, document};
use crate::exit::Usage;
use crate::table::{count, counted};

#[derive(Debug, Args)]
pub(super) struct ClusteringOptions {
    /// For clustering: average-linkage, complete-linkage, single-linkage, ward, k-means, dbscan,
    /// hdbscan, chinese-whispers.
    #[arg(long, value_name = "NAME", default_value_t)]
    algorithm: Clustering,
    /// For clustering: cut at this distance [default: the model's threshold; for embeddings, the
    /// most accurate one of verification on these labels].
    #[arg(long, value_name = "DISTANCE", conflicts_with = "clusters")]
    threshold: Option<f32>,
    /// For clustering: this many groups [default for k-means: the number of classes].
    #[arg(long, value_name = "N")]
    clusters: Option<usize>,
    /// For dbscan and hdbscan: items that make a dense region or a group.
    #[arg(long, value_name = "N", default_value_t = 5)]
    min_items: usize,
}

impl ClusteringOptions {
    pub(super) fn judge(&self, system: &System, seed: u64) -> anyhow::Result<Verdict> {
        let distinct = system.distinct();
        let system = &*distinct.system;
        let (cut, told) = self.cut(system, seed)?;
        let options = tercet::clustering::Options {
            metric: system.metric,
            cut,
            min_items: self.min_items,
            seed,
        };
        let groups = self.algorithm.group(system.vectors.view(), &options)?;
        let judged = groups.judge(&system.labels)?;
        let mut keys = document(&judged)?;
        if let Value::Object(keys) = &mut keys {
            keys.insert("algorithm".to_owned(), json!(self.algorithm));
            keys.insert("cut".to_owned(), document(&cut)?);
        }
        let count_of =
            |name: &str, value: u64| Figure::share(name, value as f64).of(Quantity::Count);
        let figures = vec![
            count_of("clusters", judged.clusters),
            count_of("classes", judged.classes),
            Figure::share("NMI", judged.nmi),
            Figure::share("AMI", judged.ami),
            Figure::share("ARI", judged.ari),
            Figure::share("pairwise F1", judged.pairwise_f1),
            Figure::share("BCubed F1", judged.bcubed_f1),
        ];
        let mut conventions = vec![
            format!("{}, {told}; no intervals, since groups depend on all items at once.", self.algorithm),
            "NMI is divided by the arithmetic mean of the entropies; AMI and ARI are adjusted for chance.".to_owned(),
        ];
        conventions.extend(distinct.convention);
        if judged.noise > 0 {
            conventions.push(format!(
                "{} items are noise and count as groups of their own.",
                count(judged.noise as usize)
            ));
        }
        Ok(Verdict {
            document: keys,
            figures,
            conventions,
            scores: None,
            detail: Detail::Clustering,
        })
    }

    fn cut(&self, system: &System, seed: u64) -> anyhow::Result<(Cut, String)> {
        if let Some(threshold) = self.threshold {
            return Ok((
                Cut::Threshold(threshold),
                format!("cut at the given distance {threshold}"),
            ));
        }
        if let Some(clusters) = self.clusters {
            return Ok((Cut::Clusters(clusters), format!("{} groups asked for", count(clusters))));
        }
        if !self.algorithm.takes_threshold() {
            return Ok(if self.algorithm.takes_clusters() {
                let classes = system.labels.class_count();
                (Cut::Clusters(classes), "as many groups as there are classes".to_owned())
            } else {
                (
                    Cut::None,
                    format!("groups of at least {}", counted(self.min_items, "item", "items")),
                )
            });
        }
        // The model's threshold is not valid for vectors that were processed further.
        if let (Some(threshold), false) = (system.threshold, system.is_processed()) {
            return Ok((
                Cut::Threshold(threshold as f32),
                format!("cut at the model's threshold {threshold:.4}"),
            ));
        }
        let pairs = judgement::pairs(system.vectors.view(), &system.labels, system.metric, seed)?;
        match Verification::judge(&pairs) {
            Ok(judged) => Ok((
                Cut::Threshold(judged.threshold),
                format!(
                    "cut at the distance {:.4} that tells same from different best on these labels, which is optimistic",
                    judged.threshold
                ),
            )),
            Err(tercet::Error::NotEnough { .. }) => bail!(Usage(
                "these labels give no threshold: name one with --threshold, or --clusters"
                    .to_owned()
            )),
            Err(error) => Err(error.into()),
        }
    }
}
