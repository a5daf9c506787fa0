//! `--index`: an approximate index, which is faster than computing the distance to every vector.

use std::fmt;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tercet_gallery::{Hnsw, Index, WriteGallery};

use super::filling::Again;
use crate::table::{count, share};
use crate::{General, progress};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Hierarchical navigable small worlds (Malkov & Yashunin 2018).
    Hnsw,
}

#[derive(Debug, Args)]
pub(super) struct Indexing {
    /// Build an index over all items, in place of an older one, and measure how well it finds.
    #[arg(long, value_enum, value_name = "KIND")]
    index: Option<Kind>,
    /// For hnsw: neighbours of a vector in the graph; more find better and need more memory.
    #[arg(long, value_name = "N", default_value_t = Hnsw::default().connectivity, requires = "index")]
    connectivity: usize,
    /// For hnsw: candidates that a search keeps; more find better and take longer.
    #[arg(long, value_name = "N", default_value_t = Hnsw::default().expansion_search, requires = "index")]
    candidates: usize,
}

impl Indexing {
    /// Refuses, before long work, an index that this build cannot construct.
    pub(super) fn check(&self, location: &str) -> anyhow::Result<()> {
        let builds = cfg!(feature = "hnsw") || tercet_gallery::is_database(location);
        anyhow::ensure!(
            self.index.is_none() || builds,
            "this build has no --index hnsw: {}",
            tercet::FULL_BUILD
        );
        Ok(())
    }

    /// Adds these flags to the command that continues an interrupted one.
    pub(super) fn repeat(&self, again: &mut Again) {
        let Some(Kind::Hnsw) = self.index else { return };
        let default = Hnsw::default();
        again.option("--index", "hnsw");
        if self.connectivity != default.connectivity {
            again.option("--connectivity", self.connectivity);
        }
        if self.candidates != default.expansion_search {
            again.option("--candidates", self.candidates);
        }
    }

    pub(super) fn build(
        &self,
        general: &General,
        writer: &mut dyn WriteGallery,
    ) -> anyhow::Result<Option<Built>> {
        let Some(Kind::Hnsw) = self.index else { return Ok(None) };
        let spinner = progress::spinner(general, "building the index");
        let options = Hnsw {
            connectivity: self.connectivity,
            expansion_search: self.candidates,
            ..Hnsw::default()
        };
        let built = writer.build_index(options);
        spinner.finish_and_clear();
        Ok(Some(Built(built?)))
    }
}

/// An index that can be printed.
pub(super) struct Built(pub(super) Index);

impl Built {
    pub(super) fn document(built: Option<&Self>) -> Value {
        built.map_or(Value::Null, |Self(index)| json!(index))
    }
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(index) = self;
        write!(
            f,
            "hnsw over {} items, finds {} of the ten nearest ({} queries), built in {:.1} s",
            count(index.rows as usize),
            share(index.recall_at_10),
            count(index.sample),
            index.seconds
        )
    }
}
