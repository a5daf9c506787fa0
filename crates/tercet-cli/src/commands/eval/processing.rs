//! Steps that process vectors before the evaluation: each step adds a row to the table, so that its
//! effect is visible.

use clap::Args;
use ndarray::Array2;
use tercet::expansion::Expansion;
use tercet::quantisation::{Quantisation, Quantiser};
use tercet::reranking::KReciprocal;
use tercet::whitening::Pca;
use tercet_train::model::prefix;

use super::system::{Reranking, System};

/// Steps after embedding, in the order in which they are applied.
#[derive(Debug, Args)]
pub(super) struct Processing {
    /// Also evaluate the first D components of the vectors, normalised by themselves where the
    /// distance is of normalised vectors: for models of `train --matryoshka`.
    #[arg(long, value_name = "D")]
    dimensions: Option<usize>,
    /// Also evaluate the vectors on their first D principal components, fitted on the gallery (or on
    /// all items) without labels.
    #[arg(long, value_name = "D")]
    pca: Option<usize>,
    /// As --pca, with all components scaled to variance 1.
    #[arg(long, value_name = "D", conflicts_with = "pca")]
    whiten: Option<usize>,
    /// Also evaluate quantised vectors: 8-bit, 8-bit-global (one scale for all dimensions), 1-bit.
    #[arg(long, value_name = "NAME")]
    quantize: Option<Quantisation>,
    /// Also evaluate queries moved towards their K nearest, weighted by similarity to the power
    /// ALPHA [default: 0].
    #[arg(long, value_name = "K[,ALPHA]", value_parser = expansion)]
    expand: Option<Expansion>,
    /// Also evaluate distances re-ranked by k-reciprocal neighbours.
    #[arg(long, value_name = "K1,K2,LAMBDA", num_args = 0..=1, default_missing_value = "20,6,0.3", value_parser = k_reciprocal)]
    rerank: Option<KReciprocal>,
}

impl Processing {
    /// Adds, after each system, the same system after each of the requested steps.
    pub(super) fn add_processed(&self, systems: &mut Vec<System>) -> anyhow::Result<()> {
        let mut all = Vec::new();
        for plain in systems.drain(..) {
            let mut latest = plain.clone();
            all.push(plain);
            for step in self.steps() {
                latest = step(&latest)?;
                all.push(latest.clone());
            }
        }
        *systems = all;
        Ok(())
    }

    #[allow(clippy::type_complexity)]
    fn steps(&self) -> Vec<Box<dyn Fn(&System) -> anyhow::Result<System> + '_>> {
        let mut steps: Vec<Box<dyn Fn(&System) -> anyhow::Result<System> + '_>> = Vec::new();
        if let Some(components) = self.dimensions {
            steps.push(Box::new(move |system| shorten(system, components)));
        }
        if let Some(components) = self.pca {
            steps.push(Box::new(move |system| project(system, components, false)));
        }
        if let Some(components) = self.whiten {
            steps.push(Box::new(move |system| project(system, components, true)));
        }
        if let Some(quantisation) = self.quantize {
            steps.push(Box::new(move |system| quantise(system, quantisation)));
        }
        if let Some(expansion) = self.expand {
            steps.push(Box::new(move |system| expand(system, expansion)));
        }
        if let Some(parameters) = self.rerank {
            steps.push(Box::new(move |system| rerank(system, parameters)));
        }
        steps
    }
}

/// The vectors that are known before any query: the gallery, or all vectors if there is none.
fn stored(system: &System) -> Array2<f32> {
    match &system.search {
        Some(search) => system.rows(&search.gallery).vectors,
        None => system.vectors.clone(),
    }
}

fn shorten(system: &System, components: usize) -> anyhow::Result<System> {
    let vectors = prefix(system.vectors.clone(), components, system.metric.normalize)?;
    Ok(system.processed(format!("dimensions {components}"), vectors))
}

fn project(system: &System, components: usize, whiten: bool) -> anyhow::Result<System> {
    let mut pca = Pca::fit(stored(system).view(), components)?;
    if whiten {
        pca = pca.whitened();
    }
    let step = if whiten { "whiten" } else { "pca" };
    Ok(system.processed(format!("{step} {components}"), pca.apply(system.vectors.view())?))
}

fn quantise(system: &System, quantisation: Quantisation) -> anyhow::Result<System> {
    let quantiser = Quantiser::fit(quantisation, stored(system).view())?;
    let codes = quantiser.encode(system.vectors.view())?;
    let bytes = quantisation.bytes(system.vectors.ncols());
    Ok(system.processed(format!("{quantisation}, {bytes} bytes"), quantiser.decode(codes.view())?))
}

fn expand(system: &System, expansion: Expansion) -> anyhow::Result<System> {
    let name = format!("expand {},{}", expansion.k, expansion.alpha);
    let Some(search) = &system.search else {
        return Ok(
            system.processed(name, expansion.database(system.vectors.view(), system.metric)?)
        );
    };
    let queries = system.rows(&search.queries).vectors;
    if search.all_items_are_both() {
        let expanded = expansion.database(queries.view(), system.metric)?;
        return Ok(system.processed(name, replaced(system, &search.queries, &expanded)));
    }
    let gallery = system.rows(&search.gallery).vectors;
    let same = system.same_items();
    let expanded =
        expansion.queries_excluding(queries.view(), gallery.view(), system.metric, &same)?;
    let apart = system.with_gallery_apart();
    let vectors = replaced(&apart, &search.queries, &expanded);
    Ok(apart.processed(name, vectors))
}

/// The vectors of a system with `rows` replaced by `new`.
fn replaced(system: &System, rows: &[u32], new: &Array2<f32>) -> Array2<f32> {
    let mut vectors = system.vectors.clone();
    for (&row, new) in rows.iter().zip(new.outer_iter()) {
        vectors.row_mut(row as usize).assign(&new);
    }
    vectors
}

fn rerank(system: &System, parameters: KReciprocal) -> anyhow::Result<System> {
    let reranked = match &system.search {
        None => parameters.leave_one_out(system.vectors.view(), system.metric)?,
        Some(search) => {
            // An item that is both a query and in the gallery is one neighbour, not two.
            let mut rows = [&search.queries[..], &search.gallery].concat();
            rows.sort_unstable();
            rows.dedup();
            let places = |of: &[u32]| -> Vec<u32> {
                of.iter()
                    .filter_map(|row| rows.binary_search(row).ok())
                    .map(|at| at as u32)
                    .collect()
            };
            let vectors = system.rows(&rows).vectors;
            let (queries, gallery) = (places(&search.queries), places(&search.gallery));
            parameters.among(vectors.view(), queries, gallery, system.metric)?
        }
    };
    let mut after = system.processed("rerank".to_owned(), system.vectors.clone());
    after.reranking = Some(Reranking::new(reranked));
    Ok(after)
}

fn expansion(text: &str) -> Result<Expansion, String> {
    let (k, alpha) = text.split_once(',').unwrap_or((text, "0"));
    let expected = || format!("`{text}`: expected K or K,ALPHA as in 5 or 5,3");
    Ok(Expansion {
        k: k.trim().parse().map_err(|_| expected())?,
        alpha: alpha.trim().parse().map_err(|_| expected())?,
    })
}

fn k_reciprocal(text: &str) -> Result<KReciprocal, String> {
    let expected = || format!("`{text}`: expected K1,K2,LAMBDA as in 20,6,0.3");
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [k1, k2, lambda] = parts.as_slice() else { return Err(expected()) };
    Ok(KReciprocal {
        k1: k1.parse().map_err(|_| expected())?,
        k2: k2.parse().map_err(|_| expected())?,
        lambda: lambda.parse().map_err(|_| expected())?,
    })
}
