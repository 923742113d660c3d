//! The server of the platform: one binary over `platform-core` and `embedded-store`.
//!
//! In reading order: [`cli`] is the command line, [`config`] its settings, [`telemetry`] the logs;
//! [`http_server`] accepts connections and keeps their deadlines, [`app`] takes one
//! request to its response, [`rest`] holds the endpoints, [`server`] what they share, [`metrics`] what is
//! counted.

pub mod app;
pub mod cli;
pub mod config;
pub mod http_server;
pub mod metrics;
pub mod rest;
pub mod server;
pub mod telemetry;
