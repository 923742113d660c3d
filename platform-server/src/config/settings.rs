//! Every setting, with its default.

/// How the text of a setting is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
    /// Texts; separated by commas in the environment and in flags.
    List,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `section.key`.
    pub key: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// The default, as it would stand in the environment.
    pub default: &'static str,
    /// Whether it is never shown.
    pub is_secret: bool,
    /// What it is for.
    pub about: &'static str,
}

const fn setting(key: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Setting {
    Setting { key, kind, default, is_secret: false, about }
}

const fn secret(key: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting { key, kind: Kind::Text, default, is_secret: true, about }
}

use Kind::{Flag, List, Number, Text};

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    setting("server.listen", Text, "127.0.0.1:3000", "address and port of the gateway"),
    setting("server.tls_certificates", Text, "", "PEM file with the certificate chain; TLS 1.3 when set"),
    setting("server.tls_key", Text, "", "PEM file with the private key"),
    setting("server.trusted_proxies", List, "", "networks whose X-Forwarded-For is believed"),
    setting("server.connections", Number, "10000", "connections at once"),
    setting("server.connections_per_address", Number, "1000", "connections at once of one address"),
    setting("server.requests", Number, "4000", "requests at once; one more is 503"),
    setting(
        "server.requests_per_address",
        Number,
        "1000",
        "requests at once of one address; one more is 429",
    ),
    setting("server.body_memory_mb", Number, "256", "MiB for all bodies above 16 KiB that are being read"),
    setting(
        "server.body_timeout_ms",
        Number,
        "30000",
        "time for the whole body of a request to our endpoints",
    ),
    setting("server.header_timeout_ms", Number, "10000", "time for the head of a request"),
    setting("server.idle_timeout_ms", Number, "75000", "time between two requests of a connection"),
    setting("server.stall_timeout_ms", Number, "30000", "time without a byte of a body, in or out"),
    setting("server.drain_ms", Number, "30000", "time for running requests when the server stops"),
    setting("server.threads", Number, "0", "threads that serve requests; 0 is one for each core"),
    setting("storage.data", Text, "./data", "the folder that holds everything"),
    setting("storage.fjall", List, "", "domains whose store is on fjall in place of SQLite"),
    setting("auth.issuer", Text, "platform", "the `iss` of access tokens: a name or the public address"),
    setting("auth.audience", Text, "platform", "the `aud` of access tokens"),
    setting("auth.access_token_lifetime_s", Number, "900", "how long an access token is valid"),
    setting("auth.registration_open", Flag, "true", "whether strangers may register"),
    setting("auth.argon2_memory_kib", Number, "19456", "memory of one password hash (RFC 9106)"),
    setting("auth.argon2_iterations", Number, "2", "passes of one password hash"),
    setting("auth.argon2_parallelism", Number, "1", "lanes of one password hash"),
    secret("notifications.smtp_url", "smtp://127.0.0.1:25", "smtp://[user:password@]host:port"),
    setting("notifications.from", Text, "platform@localhost.localdomain", "the sender of mail"),
    setting("log.format", Text, "auto", "json, text, or auto: text on a terminal"),
    setting("log.level", Text, "info", "error, warn, info, debug, trace, or target=level,…"),
    setting("log.requests", Flag, "true", "one line for each request"),
];
