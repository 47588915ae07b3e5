//! The commands of `palacectl`, one file each.

pub mod runtime;
