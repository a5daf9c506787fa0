//! The gallery from outside: one test binary, a file an idea.

#![allow(clippy::unwrap_used)]

mod backup;
mod codes;
mod damage;
mod foreign;
mod identity;
mod kept_model;
mod killed;
mod log;
mod model;
#[cfg(feature = "postgres")]
mod postgresql;
mod read_only;
mod refusals;
mod replaced_files;
mod searching;
mod snapshots;
mod upgrade;
mod world;
