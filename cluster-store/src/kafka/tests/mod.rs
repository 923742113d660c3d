//! The suite of every log over a real server, and what only several nodes can meet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stdout, reason = "what was measured is told")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use platform_core::kernel::{BoxFuture, Result};
use platform_core::ports::log::conformance::Place;
use platform_core::ports::log::{EventLog, NewRecord, Topic};
use platform_core::ports::runtime::{Runtime, SimRuntime};
use test_support::servers::Kafka;

use super::{KafkaConfig, KafkaLog};

/// Topics of its own on the server that the tests share.
struct Cluster(KafkaConfig);

impl Cluster {
    fn new() -> Cluster {
        let kafka = Kafka::shared().unwrap();
        Cluster(KafkaConfig {
            topic_prefix: kafka.new_prefix(),
            ..KafkaConfig::new([kafka.address()], "node")
        })
    }

    /// One of its nodes.
    async fn node(&self, name: &str) -> KafkaLog {
        let session_timeout = Duration::from_secs(1);
        let config = KafkaConfig { node: name.to_owned(), session_timeout, ..self.0.clone() };
        KafkaLog::connect(&config, SimRuntime::new(1).runtime()).await.unwrap()
    }
}

impl Place for Cluster {
    fn log(&self, runtime: Arc<dyn Runtime>) -> Result<Arc<dyn EventLog>> {
        let connect = || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            tokio.block_on(KafkaLog::connect(&self.0, runtime))
        };
        let log = std::thread::scope(|scope| scope.spawn(connect).join().unwrap())?;
        Ok(Arc::new(log))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn patience(&self) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(500)))
    }
}

mod suite {
    use super::*;

    platform_core::log_conformance!(Cluster::new());
}

mod nodes;
mod outage;

const TOPIC: &str = "orders";

fn topic() -> Topic {
    Topic::new(TOPIC, 2)
}

/// Numbers as values, under one key.
fn records(key: &str, numbers: std::ops::Range<u64>) -> Vec<NewRecord> {
    numbers.map(|number| NewRecord::new(key, number.to_string())).collect()
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}
