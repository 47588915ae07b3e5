//! Whole palaces that move in: readers of what other programs have stored.

pub mod upstream;
