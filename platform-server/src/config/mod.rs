//! Configuration: defaults < `platform.toml` < environment (`PLATFORM__SECTION__KEY`) < flags.
//!
//! Every setting is declared once in [`SETTINGS`]; an unknown one is an error with a suggestion, and
//! each value knows where it came from.

mod layers;
mod model;
mod settings;
mod suggest;

#[cfg(feature = "fuzzing")]
pub(crate) use layers::of_text;
pub use layers::{ConfigError, Loaded, Origin, Sources, load};
pub use model::{
    AuthConfig, Config, LogConfig, LogFormat, Network, NotificationsConfig, ServerConfig, StorageConfig,
};
pub use settings::{Kind, SETTINGS, Setting};
