//! Placeholder front door, replaced as the crate is built.
