//! Finds the vectors that a graph contains but does not find.
//!
//! Where several threads add at once, usearch may overwrite the only links that lead to a vector
//! (its issue 735): the vector is in the graph, but no search reaches it. So after a graph was
//! built, every vector is searched for. Those that are not found are added again by one thread; the
//! distances to those that are then still not found are computed by every search in addition to the
//! graph.

use rayon::prelude::*;
use usearch::Index as Usearch;

use crate::Error;

/// How often vectors that are not found are added again.
const ROUNDS: usize = 3;

/// A node of the graph: its key and its vector.
pub(in crate::folder) struct Node<'a> {
    pub(in crate::folder) key: u64,
    pub(in crate::folder) vector: &'a [f32],
}

/// Adds the vectors again that the graph does not find, and returns the keys of those that it still
/// does not find. `candidates` is the number of candidates of a search, and `refused` adds the file
/// name to an error.
pub(in crate::folder) fn find_again(
    graph: &Usearch,
    nodes: &[Node],
    candidates: usize,
    refused: impl Fn(String) -> Error + Sync,
) -> Result<Vec<u64>, Error> {
    let missing = || -> Result<Vec<(&Node, Missing)>, Error> {
        let missing = nodes.par_iter().map(|node| {
            let missing = search(graph, node, candidates).map_err(&refused)?;
            Ok(missing.map(|missing| (node, missing)))
        });
        Ok(missing.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
    };
    let mut lost = missing()?;
    for _ in 0..ROUNDS {
        let again: Vec<&Node> =
            lost.iter().filter(|lost| lost.1 == Missing::Unreached).map(|lost| lost.0).collect();
        if again.is_empty() {
            break;
        }
        for node in again {
            graph.remove(node.key).map_err(|error| refused(error.to_string()))?;
            graph.add(node.key, node.vector).map_err(|error| refused(error.to_string()))?;
        }
        // Check all vectors: new links may have replaced those of others.
        lost = missing()?;
    }
    Ok(lost.into_iter().map(|(node, _)| node.key).collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// No link leads to it.
    Unreached,
    /// The gallery contains more copies of the vector than a search returns.
    Crowded,
}

/// Whether a search for a vector misses it, and why.
fn search(graph: &Usearch, node: &Node, count: usize) -> Result<Option<Missing>, String> {
    let found = graph.search(node.vector, count).map_err(|error| error.to_string())?;
    if found.keys.contains(&node.key) {
        return Ok(None);
    }
    let crowded = found.keys.len() == count && found.distances.iter().all(|&far| far == 0.0);
    Ok(Some(if crowded { Missing::Crowded } else { Missing::Unreached }))
}
