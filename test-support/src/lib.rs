//! Real counterparts for tests and examples.
//!
//! - [`attack`]: what puts a server under pressure, and a healthy client that measures it.
//! - [`client`]: a blocking HTTP client that says exactly what was sent and what came back.
//! - [`process`]: the real binary as a child process.
//! - [`servers`]: PostgreSQL, Redis and Kafka that end with the process of the tests.
//! - [`smtp`]: an SMTP server that records what it takes, insists on the rules, and fails when told to.

pub mod attack;
pub mod client;
pub mod process;
pub mod servers;
pub mod smtp;
