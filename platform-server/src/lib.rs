//! The server of the platform: one binary over `platform-core` and `embedded-store`.
//!
//! In reading order: [`cli`] is the command line, [`config`] its settings, [`telemetry`] the logs,
//! [`assemble`] the platform behind it all,
//! `control` what the command line asks of a running server;
//! [`http_server`] accepts connections and keeps their deadlines, `http1` is what is spoken on most of them,
//! [`app`] takes one request to its response, `marks` are its id and trace, `policy` decides who may, [`rest`] holds the endpoints, [`proxy`] forwards
//! to upstreams, [`smtp`] sends mail, [`server`] what they share, [`metrics`] what is
//! counted; [`serving`] is a server that runs.

pub mod app;
pub mod assemble;
pub mod cli;
pub mod config;
mod control;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http1;
pub mod http_server;
mod marks;
pub mod metrics;
mod policy;
pub mod proxy;
pub mod rest;
pub mod server;
pub mod serving;
pub mod smtp;
pub mod telemetry;
