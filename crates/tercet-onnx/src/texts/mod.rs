//! Encoders of texts: BERT-like graphs together with their tokeniser.
//!
//! `files` reads what a folder of sentence-transformers says, `graph` the inputs and the vocabulary of
//! the graph, `network` runs it, and `encoder` turns texts into rows: it tokenises, sorts by length,
//! runs batches of similar length, pools, and normalises.
//!
//! Without the feature `texts` there is no tokeniser, and every encoder of texts is refused.

#[cfg(not(feature = "texts"))]
mod absent;
#[cfg(feature = "texts")]
mod encoder;
mod files;
#[cfg_attr(not(feature = "texts"), expect(dead_code, reason = "read by the network"))]
mod graph;
#[cfg(feature = "texts")]
mod network;

#[cfg(not(feature = "texts"))]
pub(crate) use absent::TextEncoder;
#[cfg(feature = "texts")]
pub(crate) use encoder::TextEncoder;
pub(crate) use files::TextFiles;
pub(crate) use graph::TextGraph;

#[cfg(feature = "texts")]
#[cfg(test)]
mod tests;
