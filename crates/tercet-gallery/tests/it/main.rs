//! The gallery from outside: one test binary, a file an idea.

#![allow(clippy::unwrap_used)]

mod damage;
mod kept_model;
mod killed;
mod model;
#[cfg(feature = "postgres")]
mod postgresql;
mod refusals;
mod searching;
mod snapshots;
mod world;
