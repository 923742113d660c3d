//! How a cluster is reached, and what the clients are told.

use std::time::Duration;

use platform_core::kernel::{Error, Result};
use rdkafka::ClientConfig;

/// An append, and any other request: longer than the election of a leader takes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A node that is silent for so long has gone: longer than a restart of a node takes, which so moves no partitions.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// What Kafka takes as a name, the topic's own (64 bytes) included, is at most 249 bytes.
const PREFIX_BYTES: usize = 128;
/// A node's name stands in those of its members.
const NODE_BYTES: usize = 64;
/// What the driver takes as a timeout.
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);

/// How a cluster of brokers is reached.
///
/// ```
/// use cluster_store::kafka::KafkaConfig;
/// let config = KafkaConfig { replication: 3, ..KafkaConfig::new(["kafka1:9092", "kafka2:9092"], "node1") };
/// assert_eq!(config.topic_prefix, "platform");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Brokers to begin with, as `host:port`: any one of them tells the others.
    pub brokers: Vec<String>,
    /// What the names of all topics and groups begin with, before a `-`: clusters with different ones share brokers. 1 to
    /// 128 letters, digits, `.`, `_` or `-`.
    pub topic_prefix: String,
    /// The name of this node, the same after a restart and no other node's: groups know the node by it. 1 to 64 letters,
    /// digits, `.`, `_` or `-`.
    pub node: String,
    /// Copies of each record, on as many brokers. More than half of them have to be there (of two: one).
    pub replication: u16,
    /// How long an append, or any other request, may take.
    pub timeout: Duration,
    /// A node that is silent for so long has left its groups: others take over its partitions.
    pub session_timeout: Duration,
    /// TLS to the brokers; none when absent.
    #[cfg(feature = "kafka-tls")]
    pub tls: Option<KafkaTls>,
}

/// TLS to the brokers: they are checked by name against these certificates.
#[cfg(feature = "kafka-tls")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaTls {
    /// The certificates that the brokers' are checked against, in PEM; those of the machine when absent.
    pub ca_file: Option<std::path::PathBuf>,
    /// The certificate of this node and its key, in PEM, when the brokers ask for one.
    pub identity_files: Option<(std::path::PathBuf, std::path::PathBuf)>,
}

impl KafkaConfig {
    /// What is usual, for these brokers and this node; one copy of each record.
    pub fn new(brokers: impl IntoIterator<Item = impl Into<String>>, node: impl Into<String>) -> KafkaConfig {
        KafkaConfig {
            brokers: brokers.into_iter().map(Into::into).collect(),
            topic_prefix: "platform".to_owned(),
            node: node.into(),
            replication: 1,
            timeout: TIMEOUT,
            session_timeout: SESSION_TIMEOUT,
            #[cfg(feature = "kafka-tls")]
            tls: None,
        }
    }

    /// Refuses what no cluster takes.
    ///
    /// # Errors
    /// `log.invalid_config`.
    pub(super) fn check(&self) -> Result<()> {
        let is_broker = |broker: &String| {
            let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
            !broker.contains(',') && port.is_some_and(|port| port.parse::<u16>().is_ok())
        };
        let wrong = if self.brokers.is_empty() || !self.brokers.iter().all(is_broker) {
            "brokers"
        } else if !is_name(&self.topic_prefix, PREFIX_BYTES) {
            "topic_prefix"
        } else if !is_name(&self.node, NODE_BYTES) {
            "node"
        } else if !(1..=i16::MAX as u16).contains(&self.replication) {
            "replication"
        } else if !TIMEOUTS.contains(&self.timeout) {
            "timeout"
        } else if !TIMEOUTS.contains(&self.session_timeout) {
            "session_timeout"
        } else {
            return Ok(());
        };
        Err(Error::invalid("log.invalid_config", "this setting of Kafka cannot be").with("setting", wrong))
    }

    /// The name of a topic among those of all clusters. A topic's own name has no `-`, so no two prefixes share one.
    pub(super) fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.topic_prefix)
    }

    /// What every client of ours has.
    pub(super) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", &self.node)
            .set("socket.timeout.ms", millis(self.timeout))
            .set("socket.connection.setup.timeout.ms", millis(self.timeout.max(Duration::from_secs(1))))
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true")
            // A broker that is back is found within a second.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000");
        #[cfg(feature = "kafka-tls")]
        if let Some(tls) = &self.tls {
            tls.set(&mut client);
        }
        client
    }

    /// What every client has that reads.
    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut client = self.client();
        client
            .set("group.id", self.topic(group))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("check.crcs", "true")
            .set("fetch.min.bytes", "1")
            .set("fetch.error.backoff.ms", "20")
            .set("fetch.queue.backoff.ms", "5");
        client
    }

    /// How many copies have to be there for an append: the more of them, so that a broker that fails takes nothing along.
    pub(super) fn in_sync(&self) -> u16 {
        self.replication.div_ceil(2)
    }
}

#[cfg(feature = "kafka-tls")]
impl KafkaTls {
    fn set(&self, client: &mut ClientConfig) {
        client.set("security.protocol", "ssl").set("ssl.endpoint.identification.algorithm", "https");
        if let Some(ca) = &self.ca_file {
            client.set("ssl.ca.location", ca.to_string_lossy());
        }
        if let Some((certificate, key)) = &self.identity_files {
            client.set("ssl.certificate.location", certificate.to_string_lossy());
            client.set("ssl.key.location", key.to_string_lossy());
        }
    }
}

/// A duration, as the driver takes it.
pub(super) fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

fn is_name(name: &str, bytes: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=bytes).contains(&name.len()) && name.bytes().all(allowed)
}
