//! A gallery in a folder: segments of vectors and a catalogue.
//!
//! ```text
//! gallery/
//!   catalogue.sqlite     what counts: settings, extents of the segments, items, labels, thumbnails
//!   vectors-000000.f32   a segment: 64 bytes of header, rows of f32; only ever appended to
//!   index-000012.hnsw    an HNSW graph, if one was built
//!   model.safetensors    the model that makes the vectors, if it was given to keep
//!   last-change          which change was the last: what was acknowledged must be there
//!   writer.lock          held by the one writer
//! ```
//!
//! A change writes its vectors behind those that count and waits for the disk, then commits the
//! catalogue, which makes them count. Whatever stops a writer, at whatever moment, the catalogue is
//! either before or after the commit, and what it speaks of is there.

mod backup;
#[cfg(feature = "hnsw")]
mod build_index;
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
mod verify;
mod writer;

pub use reader::Reader;
pub use writer::Writer;
