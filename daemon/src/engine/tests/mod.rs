//! The engine as its callers see it, against a map in memory and against damaged files.

mod archives;
mod beside;
mod bulk;
mod contract;
mod damage;
mod decay;
pub(crate) mod fixture;
mod formats;
mod graph;
mod homes;
mod model;
mod power;
mod salvage;
mod saved;
