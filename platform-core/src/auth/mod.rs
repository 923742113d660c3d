//! Auth: accounts, passwords, sessions, tokens.

mod config;
mod error;
pub mod events;
mod keyring;
mod lockout;
mod password;
mod refresh;
mod remembered;
mod token;

pub use config::{Argon2Config, AuthConfig};
pub use keyring::{Jwk, Jwks};
