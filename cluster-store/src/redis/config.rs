//! Where Redis is, and how long it may take.

use std::fmt;
use std::time::Duration;

use platform_core::kernel::{Error, Result, Retry};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisResult,
    TlsCertificates,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Where Redis is, and how long it may take.
///
/// ```
/// use cluster_store::redis::RedisConfig;
/// let config = RedisConfig::new("redis://user:secret@127.0.0.1:6379/0").unwrap();
/// assert!(!format!("{config:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct RedisConfig {
    server: ConnectionInfo,
    root_certificates: Option<Vec<u8>>,
    /// What the names of all keys and channels begin with: platforms that share a Redis differ in it.
    pub prefix: String,
    /// How long a connection may take.
    pub connect_within: Duration,
    /// How long an answer may take. Then Redis counts as away, and requests go on without it.
    pub answer_within: Duration,
}

impl RedisConfig {
    /// Of an address: `redis://[user][:password@]host[:port][/database]`, or `rediss://…` for TLS.
    ///
    /// # Errors
    /// `redis.invalid_url`, which does not show it: there may be a password in it.
    pub fn new(url: &str) -> Result<RedisConfig> {
        let server = url.into_connection_info().map_err(|_| {
            Error::invalid("redis.invalid_url", "the address of Redis is not redis://… or rediss://…")
        })?;
        Ok(RedisConfig {
            server,
            root_certificates: None,
            prefix: "platform:".to_owned(),
            // A handshake with TLS over the longest way within a region takes a tenth of it.
            connect_within: Duration::from_secs(1),
            // Redis answers within a millisecond. Whoever waits for it is a request.
            answer_within: Duration::from_millis(100),
        })
    }

    /// Trusts these certificates (PEM) instead of those that the system trusts, for `rediss://`.
    #[must_use]
    pub fn trusting(mut self, certificates: Vec<u8>) -> RedisConfig {
        self.root_certificates = Some(certificates);
        self
    }

    /// The client; it connects later.
    ///
    /// # Errors
    /// `redis.invalid_certificates`.
    pub(super) fn client(&self) -> Result<RedisClient> {
        // A library above us that brings another provider chooses its own first.
        if CryptoProvider::get_default().is_none() {
            // Whoever was faster has installed one.
            let _ = aws_lc_rs::default_provider().install_default();
        }
        // The channel's messages come between the answers.
        let settings = self.server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default().set_nodelay(true);
        let server = self.server.clone().set_redis_settings(settings).set_tcp_settings(tcp);
        let root_cert = self.root_certificates.clone();
        let client = match root_cert {
            Some(_) => Client::build_with_tls(server, TlsCertificates { client_tls: None, root_cert }),
            None => Client::open(server),
        };
        let client = client.map_err(|_| {
            Error::invalid(
                "redis.invalid_certificates",
                "the certificates for Redis cannot be read, or its address is not rediss://…",
            )
            .retry(Retry::No)
        })?;
        Ok(RedisClient { client, connect_within: self.connect_within, answer_within: self.answer_within })
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisConfig")
            .field("server", &self.server.addr())
            .field("prefix", &self.prefix)
            .field("connect_within", &self.connect_within)
            .field("answer_within", &self.answer_within)
            .finish_non_exhaustive()
    }
}

/// Connects to Redis, each time within a deadline.
#[derive(Clone)]
pub(super) struct RedisClient {
    client: Client,
    connect_within: Duration,
    answer_within: Duration,
}

impl RedisClient {
    /// A connection, for commands.
    pub(super) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        self.connected(AsyncConnectionConfig::new()).await
    }

    /// A connection, and what is done with messages of the channels that it subscribes to.
    pub(super) async fn listen(
        &self,
        heard: impl Fn(&[u8]) + Send + Sync + 'static,
    ) -> RedisResult<MultiplexedConnection> {
        let sender = move |push: redis::PushInfo| {
            if let (redis::PushKind::Message, [_, redis::Value::BulkString(message)]) =
                (&push.kind, push.data.as_slice())
            {
                heard(message);
            }
            Ok::<_, std::convert::Infallible>(())
        };
        self.connected(AsyncConnectionConfig::new().set_push_sender(sender)).await
    }

    async fn connected(&self, config: AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
        let config = config
            .set_connection_timeout(Some(self.connect_within))
            .set_response_timeout(Some(self.answer_within));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let config = RedisConfig::new("redis://name:hunter2@localhost/1").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let error = RedisConfig::new("http://name:hunter2@localhost").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
        assert_eq!(error.code(), "redis.invalid_url");
    }

    #[tokio::test]
    async fn an_encrypted_server_is_reached_by_whom_it_can_prove_itself_to() {
        let (redis, certificate) = test_support::servers::Redis::start_encrypted().unwrap();
        let config = RedisConfig::new(&redis.url()).unwrap();
        assert!(config.client().unwrap().connect().await.is_err(), "nobody vouches for it");
        let config = config.trusting(certificate.into_bytes());
        let mut connection = config.client().unwrap().connect().await.unwrap();
        let pong: String = redis::cmd("PING").query_async(&mut connection).await.unwrap();
        assert_eq!(pong, "PONG");
    }

    #[test]
    fn certificates_need_tls() {
        let config = RedisConfig::new("redis://localhost").unwrap().trusting(b"none".to_vec());
        assert_eq!(config.client().err().map(|error| error.code()), Some("redis.invalid_certificates"));
        let config = RedisConfig::new("rediss://localhost").unwrap();
        assert!(config.client().is_ok());
    }
}
