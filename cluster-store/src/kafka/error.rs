//! What a failure of Kafka means to a caller.

use platform_core::kernel::{Error, Retry};
use rdkafka::error::KafkaError;

/// It cannot be reached, or refuses.
pub(super) fn unavailable(error: KafkaError) -> Error {
    match error {
        // The value may be a secret.
        KafkaError::ClientConfig(_, _, setting, _) => {
            Error::invalid("log.invalid_config", "the driver of Kafka does not take this setting")
                .with("setting", setting)
        }
        error => Error::unavailable("log.unavailable", "Kafka cannot be reached or refuses").because(error),
    }
}

/// It did not answer in time.
pub(super) fn late() -> Error {
    Error::unavailable("log.unavailable", "Kafka does not answer in time")
}

/// The log is not there any more, or not for this node.
pub(super) fn closed(why: &'static str) -> Error {
    Error::unavailable("log.closed", why).retry(Retry::No)
}

/// A record that does not read, or that was acknowledged and is not there.
pub(super) fn damaged(topic: &str, partition: u16, offset: u64) -> Error {
    Error::data_loss("log.damaged", "a record of the log is damaged or lost")
        .with("topic", topic)
        .with("partition", partition)
        .with("offset", offset)
}
