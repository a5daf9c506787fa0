//! The interface over a real connection: every address, every refusal, every bound.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod closed;
mod documented;
mod embedding;
mod limits;
mod reading;
mod world;
mod writing;
