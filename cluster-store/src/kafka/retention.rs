//! What retention lets go, to the record: Kafka itself only removes whole segments, and those when it comes to it.

use std::sync::Arc;

use platform_core::kernel::Result;
use platform_core::ports::log::{RECORD_BYTES, Topic};

use super::Inner;
use super::topics::{TopicState, bytes};

/// Records that are weighed at once.
const AT_ONCE: usize = 256;

/// How much a stretch of a partition weighs, as far as it is known: so each record is read twice at most, when it is new
/// and when it goes.
#[derive(Default, Clone, Copy)]
pub(super) struct Weight {
    from: u64,
    upto: u64,
    bytes: u64,
}

impl Inner {
    /// Removes what the topics that this process declared let go by now.
    pub(super) async fn let_go(self: &Arc<Inner>) -> Result<()> {
        self.readers.end_idle();
        for topic in self.topics.all() {
            let declared = topic.declared.lock().clone();
            if let Some(declared) = declared.filter(|it| it.max_age.is_some() || it.max_bytes.is_some()) {
                self.let_go_of(&topic, &declared).await?;
            }
        }
        Ok(())
    }

    async fn let_go_of(self: &Arc<Inner>, topic: &Arc<TopicState>, declared: &Topic) -> Result<()> {
        let bounds = self.bounds_of(topic).await?;
        let mut firsts: Vec<u64> = bounds.iter().map(|(first, _)| *first).collect();
        if let Some(age) = declared.max_age {
            let oldest = self.runtime.now().minus(age).as_millis() as i64;
            let since = self.query.since(topic.full_name.clone(), topic.count(), oldest).await?;
            for ((first, (_, end)), since) in firsts.iter_mut().zip(&bounds).zip(since) {
                *first = since.unwrap_or(*end).max(*first);
            }
        }
        if let Some(limit) = declared.max_bytes {
            for (number, (first, (_, end))) in firsts.iter_mut().zip(&bounds).enumerate() {
                *first = self.lightened(topic, number as u16, *first, *end, limit).await?;
            }
        }
        let grown =
            firsts.iter().zip(&bounds).enumerate().filter(|(_, (first, (before, _)))| *first > before);
        let grown: Vec<(u16, u64)> = grown.map(|(number, (first, _))| (number as u16, *first)).collect();
        if grown.is_empty() {
            return Ok(());
        }
        self.admin.remove(&topic.full_name, &grown).await?;
        for (number, first) in grown {
            topic.partition(number)?.remove(first);
        }
        Ok(())
    }

    /// Where a partition has to begin so that it weighs no more than `limit`.
    async fn lightened(
        self: &Arc<Inner>,
        topic: &Arc<TopicState>,
        number: u16,
        first: u64,
        end: u64,
        limit: u64,
    ) -> Result<u64> {
        if end.saturating_sub(first).saturating_mul(RECORD_BYTES as u64) <= limit {
            return Ok(first);
        }
        let partition = topic.partition(number)?;
        let mut weight = *partition.weight.lock();
        if !(weight.from..=weight.upto).contains(&first) {
            weight = Weight { from: first, upto: first, bytes: 0 };
        }
        while weight.upto < end {
            let upto = weight.upto;
            let records = self.read(topic, number, upto, AT_ONCE).await?;
            if records.first().is_none_or(|record| record.offset != upto) {
                // Somebody else has removed what was being weighed: it is weighed next time.
                return Ok(first);
            }
            for record in records {
                (weight.upto, weight.bytes) = (record.offset + 1, weight.bytes + bytes(&record) as u64);
            }
        }
        while weight.from < first || weight.bytes > limit {
            let from = weight.from;
            let records = self.read(topic, number, from, AT_ONCE).await?;
            if records.first().is_none_or(|record| record.offset != from) {
                *partition.weight.lock() = Weight::default();
                return Ok(first);
            }
            for record in records {
                if weight.from >= first && weight.bytes <= limit {
                    break;
                }
                (weight.from, weight.bytes) = (record.offset + 1, weight.bytes - bytes(&record) as u64);
            }
        }
        *partition.weight.lock() = weight;
        Ok(weight.from)
    }
}
