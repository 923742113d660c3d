//! Logs: JSON lines with correlation ids for machines, text on a terminal. They go to stderr, so that
//! stdout has only what a starter waits for.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Installs the subscriber of the process.
///
/// # Errors
/// A filter that cannot be read, or a subscriber that is there already.
pub fn install(config: &LogConfig) -> Result<(), String> {
    let mut filter: Targets =
        config.level.parse().map_err(|error| format!("log.level `{}`: {error}", config.level))?;
    if !config.requests {
        filter = filter.with_target("access", tracing::level_filters::LevelFilter::OFF);
    }
    let is_json = match config.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let installed = if is_json {
        let layer = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
        tracing_subscriber::registry().with(filter).with(layer).try_init()
    } else {
        let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        tracing_subscriber::registry().with(filter).with(layer).try_init()
    };
    installed.map_err(|error| error.to_string())
}
