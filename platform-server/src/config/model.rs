//! The settings as types.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use platform_core::kernel::Secret;
use serde::{Deserialize, Deserializer};

use crate::http_server::{AtOnce, BodyLimits, Deadlines, Limits};

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The listener.
    pub server: ServerConfig,
    /// Where things are kept.
    pub storage: StorageConfig,
    /// Sign-in.
    pub auth: AuthConfig,
    /// Outgoing messages.
    pub notifications: NotificationsConfig,
    /// Logs.
    pub log: LogConfig,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // each is described in SETTINGS
pub struct ServerConfig {
    pub listen: SocketAddr,
    #[serde(deserialize_with = "path_if_any")]
    pub tls_certificates: Option<PathBuf>,
    #[serde(deserialize_with = "path_if_any")]
    pub tls_key: Option<PathBuf>,
    pub trusted_proxies: Vec<Network>,
    pub connections: usize,
    pub connections_per_address: usize,
    pub requests: usize,
    pub requests_per_address: usize,
    pub body_memory_mb: usize,
    pub body_timeout_ms: u64,
    pub header_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub stall_timeout_ms: u64,
    pub drain_ms: u64,
    pub threads: usize,
}

impl ServerConfig {
    /// What bounds the connections.
    pub fn limits(&self) -> Limits {
        Limits {
            deadlines: Deadlines {
                header: Duration::from_millis(self.header_timeout_ms),
                idle: Duration::from_millis(self.idle_timeout_ms),
                stall: Duration::from_millis(self.stall_timeout_ms),
            },
            at_once: AtOnce {
                connections: self.connections,
                connections_per_address: self.connections_per_address,
                requests: self.requests,
                requests_per_address: self.requests_per_address,
            },
            drain: Duration::from_millis(self.drain_ms),
        }
    }

    /// What bounds the bodies that are read.
    pub fn bodies(&self) -> BodyLimits {
        let bytes = self.body_memory_mb.saturating_mul(1024 * 1024);
        BodyLimits::new(Duration::from_millis(self.body_timeout_ms), bytes)
    }
}

/// `[storage]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // each is described in SETTINGS
pub struct StorageConfig {
    pub data: PathBuf,
    pub fjall: Vec<String>,
}

/// `[auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // each is described in SETTINGS
pub struct AuthConfig {
    pub issuer: String,
    pub audience: String,
    pub access_token_lifetime_s: u64,
    pub registration_open: bool,
    pub argon2_memory_kib: u32,
    pub argon2_iterations: u32,
    pub argon2_parallelism: u32,
}

/// `[notifications]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // each is described in SETTINGS
pub struct NotificationsConfig {
    pub smtp_url: Secret,
    pub from: String,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // each is described in SETTINGS
pub struct LogConfig {
    pub format: LogFormat,
    pub level: String,
    pub requests: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object for each line.
    Json,
    /// For people.
    Text,
}

/// A network: an address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    prefix: u8,
    is_v4: bool,
}

impl Network {
    /// Whether the address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let shift = 128 - u32::from(self.prefix);
        address.is_ipv4() == self.is_v4 && (self.prefix == 0 || bits(address) >> shift == self.bits >> shift)
    }
}

/// The address at the high end.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let invalid = || format!("`{text}` is no network: ADDRESS or ADDRESS/BITS");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| invalid())?;
        if prefix > longest {
            return Err(invalid());
        }
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`: addresses are compared in their canonical form.
        match (address.to_canonical(), prefix) {
            (IpAddr::V4(inner), 96..) if address.is_ipv6() => {
                Ok(Network { bits: bits(IpAddr::V4(inner)), prefix: prefix - 96, is_v4: true })
            }
            _ => Ok(Network { bits: bits(address), prefix, is_v4: address.is_ipv4() }),
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn path_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(Some(String::deserialize(deserializer)?).filter(|path| !path.is_empty()).map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_shares_its_prefix() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.2.3".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.0".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!(!"0.0.0.0/0".parse::<Network>().unwrap().contains("::1".parse().unwrap()));
        let mapped: Network = "::ffff:10.0.0.0/104".parse().unwrap();
        assert!(
            mapped.contains("10.9.9.9".parse().unwrap()) && !mapped.contains("11.0.0.1".parse().unwrap())
        );
        assert!("::1".parse::<Network>().unwrap().contains("::1".parse().unwrap()));
        for bad in ["10.0.0.0/33", "x", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
