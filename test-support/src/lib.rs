//! Real counterparts for tests and examples.
//!
//! - [`smtp`]: an SMTP server that records what it takes, insists on the rules, and fails when told to.

pub mod smtp;
