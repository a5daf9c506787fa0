//! The gallery from outside: one test binary, a file an idea.

mod damage;
mod killed;
mod model;
#[cfg(feature = "postgres")]
mod postgresql;
mod refusals;
mod searching;
mod snapshots;
mod world;
