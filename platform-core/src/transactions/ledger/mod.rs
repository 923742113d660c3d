//! The ledger: double-entry transfers in pages, by one sequencer.
//!
//! In reading order: what is recorded ([`frame`], [`rejection`]), how it is decided ([`state`], [`page`]),
//! where it is kept ([`draft`], [`tail`], [`filter`]).

pub mod draft;
pub mod filter;
pub mod frame;
pub mod page;
pub mod rejection;
pub mod state;
pub mod tail;

#[cfg(test)]
mod tests;
