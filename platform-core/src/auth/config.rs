//! What can be configured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::{Error, Result};

/// Settings of the auth domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// The `iss` of our tokens: a name or the public address of this installation.
    pub issuer: String,
    /// The `aud` of our tokens.
    pub audience: String,
    /// How long an access token is valid, in seconds.
    pub access_token_lifetime_s: u64,
    /// How long a refresh token waits for its use, in seconds: an idle session ends after this.
    pub session_idle_s: u64,
    /// How long a session lasts at most, in seconds, however often it is refreshed.
    pub session_lifetime_s: u64,
    /// How old a signing key becomes before it is replaced, in seconds.
    pub signing_key_lifetime_s: u64,
    /// Whether strangers may register.
    pub registration_open: bool,
    /// What a password hash costs. A change takes effect for a user at the next login.
    pub argon2: Argon2Config,
    /// Verified tokens that are remembered: about 1 KiB each.
    pub remembered_tokens: usize,
}

/// Cost of Argon2id (RFC 9106). The default is what OWASP ASVS 5.0, appendix C, asks for at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Argon2Config {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Default for AuthConfig {
    fn default() -> Self {
        AuthConfig {
            issuer: "platform".to_owned(),
            audience: "platform".to_owned(),
            access_token_lifetime_s: 15 * 60,
            session_idle_s: 30 * 24 * 3600,
            session_lifetime_s: 90 * 24 * 3600,
            signing_key_lifetime_s: 90 * 24 * 3600,
            registration_open: true,
            argon2: Argon2Config::default(),
            remembered_tokens: 16_384,
        }
    }
}

impl Default for Argon2Config {
    fn default() -> Self {
        Argon2Config { memory_kib: 19 * 1024, iterations: 2, parallelism: 1 }
    }
}

impl AuthConfig {
    /// Refuses what would lock everybody out or protect nobody.
    ///
    /// # Errors
    /// `auth.invalid_config`, with the field.
    pub fn check(&self) -> Result<()> {
        let refuse = |field: &'static str, why: &'static str| {
            Err(Error::invalid("auth.invalid_config", why).with("field", field))
        };
        if self.issuer.is_empty() || self.audience.is_empty() {
            return refuse("issuer, audience", "neither may be empty");
        }
        if !(10..=24 * 3600).contains(&self.access_token_lifetime_s) {
            return refuse("access_token_lifetime_s", "an access token is valid for 10 seconds to a day");
        }
        if self.session_idle_s < self.access_token_lifetime_s || self.session_lifetime_s < self.session_idle_s
        {
            return refuse("session_lifetime_s", "access token ≤ idle session ≤ session in lifetime");
        }
        if self.signing_key_lifetime_s < self.access_token_lifetime_s {
            return refuse("signing_key_lifetime_s", "a signing key outlives its tokens");
        }
        if !(1..=1 << 20).contains(&self.remembered_tokens) {
            return refuse("remembered_tokens", "1 to 1,048,576");
        }
        let Argon2Config { memory_kib, iterations, parallelism } = self.argon2;
        if !(8..=1 << 20).contains(&memory_kib)
            || !(1..=64).contains(&iterations)
            || !(1..=16).contains(&parallelism)
        {
            return refuse("argon2", "8 KiB to 1 GiB, 1 to 64 iterations, 1 to 16 lanes");
        }
        Ok(())
    }

    /// How long an access token is valid.
    pub fn access_token_lifetime(&self) -> Duration {
        Duration::from_secs(self.access_token_lifetime_s)
    }

    /// How long a session waits for its refresh.
    pub fn session_idle(&self) -> Duration {
        Duration::from_secs(self.session_idle_s)
    }

    /// How long a session lasts at most.
    pub fn session_lifetime(&self) -> Duration {
        Duration::from_secs(self.session_lifetime_s)
    }

    /// How old a signing key becomes.
    pub fn signing_key_lifetime(&self) -> Duration {
        Duration::from_secs(self.signing_key_lifetime_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_what_protects_nobody_is_not() {
        AuthConfig::default().check().unwrap();
        let wrong: [fn(&mut AuthConfig); 5] = [
            |config| config.issuer.clear(),
            |config| config.access_token_lifetime_s = 1,
            |config| config.session_lifetime_s = 60,
            |config| config.argon2.memory_kib = 1,
            |config| config.remembered_tokens = 0,
        ];
        for change in wrong {
            let mut config = AuthConfig::default();
            change(&mut config);
            assert_eq!(config.check().unwrap_err().code(), "auth.invalid_config");
        }
    }
}
