//! Seven backend domains as one embeddable library.
pub mod kernel;
#[cfg(test)]
mod testdata;
