//! The last events that this process has moved to the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::kernel::Event;

/// Bytes, as they stand in the log, of the events of a partition that are kept: some 400.
const BYTES: usize = 256 << 10;

/// The last events of each partition, as the relays had them in hand: handlers find most of what they are given here,
/// and need neither read nor parse a record for it.
#[derive(Default, Clone)]
pub(super) struct Recent(Arc<Mutex<Tails>>);

/// By store and partition.
type Tails = BTreeMap<(String, u16), Arc<Tail>>;

impl Recent {
    /// The end of a partition.
    pub(super) fn tail(&self, store: &str, partition: u16) -> Arc<Tail> {
        Arc::clone(self.0.lock().entry((store.to_owned(), partition)).or_default())
    }
}

/// The last events of a partition, without a gap between their offsets.
#[derive(Default)]
pub(super) struct Tail(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    events: VecDeque<At>,
    bytes: usize,
}

struct At {
    offset: u64,
    event: Event,
    bytes: usize,
}

impl Tail {
    /// Keeps an event that stands in the log at this offset, with so many bytes.
    pub(super) fn keep(&self, offset: u64, event: Event, bytes: usize) {
        let mut kept = self.0.lock();
        if kept.events.back().is_some_and(|last| last.offset + 1 != offset) {
            // Somebody else has appended, or nobody knows what came of an append of ours.
            *kept = Kept::default();
        }
        kept.bytes += bytes;
        kept.events.push_back(At { offset, event, bytes });
        while kept.bytes > BYTES
            && let Some(oldest) = kept.events.pop_front()
        {
            kept.bytes -= oldest.bytes;
        }
    }

    /// The events from an offset on, at most `limit`; none when the one at the offset is not kept.
    pub(super) fn from(&self, offset: u64, limit: usize) -> Vec<(u64, Event)> {
        let kept = self.0.lock();
        let skipped = kept.events.front().and_then(|oldest| offset.checked_sub(oldest.offset));
        let Some(skipped) = skipped.and_then(|skipped| usize::try_from(skipped).ok()) else {
            return Vec::new();
        };
        let events = kept.events.iter().skip(skipped).take(limit);
        events.map(|at| (at.offset, at.event.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Actor, EventId, EventPosition, NewEvent, RawId, Timestamp};

    fn keep(tail: &Tail, offset: u64, bytes: usize) {
        let new = NewEvent {
            id: EventId(RawId(u128::from(offset).to_be_bytes())),
            event_type: "shop.ordered".to_owned(),
            subject: "order_1".to_owned(),
            key: "order_1".to_owned(),
            time: Timestamp::from_secs(0),
            actor: Actor::System,
            correlation_id: "req_1".parse().unwrap(),
            causation_id: None,
            data: serde_json::json!(offset).into(),
        };
        let position = EventPosition { commit: offset + 1, index: 0 };
        tail.keep(offset, Event { store: "shop".into(), position, new: Arc::new(new) }, bytes);
    }

    fn offsets(tail: &Tail, from: u64, limit: usize) -> Vec<u64> {
        let found = tail.from(from, limit);
        assert!(found.iter().all(|(offset, event)| event.position.commit == offset + 1));
        found.into_iter().map(|(offset, _)| offset).collect()
    }

    #[test]
    fn events_are_found_from_an_offset_on() {
        let recent = Recent::default();
        (5..9).for_each(|offset| keep(&recent.tail("shop", 1), offset, 100));
        let tail = recent.tail("shop", 1);
        assert_eq!(offsets(&tail, 5, 9), [5, 6, 7, 8]);
        assert_eq!(offsets(&tail, 7, 1), [7]);
        assert!(offsets(&tail, 4, 9).is_empty(), "the one before is not kept");
        assert!(offsets(&tail, 9, 9).is_empty());
        assert!(offsets(&recent.tail("shop", 0), 5, 9).is_empty());
        assert!(offsets(&recent.tail("mail", 1), 5, 9).is_empty());
    }

    #[test]
    fn behind_a_gap_nothing_is_known_of_what_was_before() {
        let tail = Tail::default();
        [0, 1, 3, 4].into_iter().for_each(|offset| keep(&tail, offset, 100));
        assert!(offsets(&tail, 1, 9).is_empty());
        assert_eq!(offsets(&tail, 3, 9), [3, 4]);
    }

    #[test]
    fn the_oldest_make_room() {
        let tail = Tail::default();
        (0..20).for_each(|offset| keep(&tail, offset, BYTES / 4));
        assert!(offsets(&tail, 15, 9).is_empty());
        assert_eq!(offsets(&tail, 16, 9), [16, 17, 18, 19]);
        keep(&tail, 20, BYTES + 1);
        assert!(offsets(&tail, 20, 9).is_empty(), "one that is too large is not kept, either");
        keep(&tail, 21, 1);
        assert_eq!(offsets(&tail, 21, 9), [21]);
    }
}
