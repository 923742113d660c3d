//! The server of the platform: one binary over `platform-core` and `embedded-store`.
//!
//! In reading order: [`http_server`] accepts connections and keeps their deadlines, [`app`] takes one
//! request to its response, [`rest`] holds the endpoints, [`server`] what they share, [`metrics`] what is
//! counted.

pub mod app;
pub mod http_server;
pub mod metrics;
pub mod rest;
pub mod server;
