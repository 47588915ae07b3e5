//! The engine as its callers see it, against a map in memory and against damaged files.

mod beside;
mod contract;
mod damage;
pub(crate) mod fixture;
mod graph;
mod model;
mod saved;
