//! Vectors that a graph holds and does not find.
//!
//! Where several threads add at once, usearch may overwrite the only links that lead to a vector
//! (its issue 735): the vector is in the graph, but no search reaches it. So after a graph was built
//! every vector is searched for itself. Those that are not found are added again by one thread, and
//! what then is not found is measured beside the graph by every search.

use rayon::prelude::*;
use usearch::Index as Usearch;

use crate::Error;

/// How often vectors that are not found are added again.
const ROUNDS: usize = 3;

/// A vector of the graph: its key, and where it is.
pub(in crate::folder) struct Node<'a> {
    pub(in crate::folder) key: u64,
    pub(in crate::folder) vector: &'a [f32],
}

/// Adds again what the graph does not find, and returns the keys of what it still does not find.
/// `candidates` is how many a search keeps, and `refused` names the file in an error.
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
        // Of all: new links may have taken the place of others.
        lost = missing()?;
    }
    Ok(lost.into_iter().map(|(node, _)| node.key).collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// No link leads to it.
    Unreached,
    /// There are more vectors that are the same than a search keeps.
    Crowded,
}

/// How a vector is missing from what a search for it finds, if it is.
fn search(graph: &Usearch, node: &Node, count: usize) -> Result<Option<Missing>, String> {
    let found = graph.search(node.vector, count).map_err(|error| error.to_string())?;
    if found.keys.contains(&node.key) {
        return Ok(None);
    }
    let crowded = found.keys.len() == count && found.distances.iter().all(|&far| far == 0.0);
    Ok(Some(if crowded { Missing::Crowded } else { Missing::Unreached }))
}
