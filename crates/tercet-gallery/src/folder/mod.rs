//! A gallery in a folder: segments of vectors and a catalogue.
//!
//! ```text
//! gallery/
//!   catalogue.sqlite     settings, valid extents of the segments, items, labels, thumbnails
//!   vectors-000000.f32   a segment: 64 bytes of header, rows of f32; only ever appended to
//!   index-000012.hnsw    an HNSW graph, if one was built
//!   model.safetensors    the model that computes the vectors, if it was stored; after an upgrade
//!                        model-CHECKSUM.safetensors
//!   last-change          the last change, which shows whether an acknowledged one was lost
//!   writer.lock          locked by the one writer
//! ```
//!
//! A change appends its vectors after the rows that are valid and waits for the disk; then it
//! commits the catalogue, which makes the new rows valid. At whatever moment a writer is stopped,
//! the catalogue is in the state before or after the commit, and everything that it refers to is on
//! disk.

mod backup;
#[cfg(feature = "hnsw")]
mod build_index;
mod carried;
mod catalogue;
mod changes;
mod codes;
mod combine;
mod compact;
#[cfg(feature = "hnsw")]
mod hnsw;
mod last_change;
mod memory;
mod model;
mod newest;
mod reader;
mod recall;
mod segment;
mod settle;
mod snapshot;
mod switch;
mod verify;
mod writer;

pub use reader::Reader;
pub use writer::Writer;
