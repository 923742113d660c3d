//! Denied requests between the request and the log: bounded, and merged when one client sends many.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::kernel::{Actor, CorrelationId, Timestamp};

/// Denials of one client within [`WINDOW`] that become entries of their own; the others are counted.
const SINGLE_PER_CLIENT: u64 = 10;
/// The time over which a client's denials are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(1);
/// Denials that wait on their own: about a megabyte. What comes on top is counted.
const WAITING: usize = 1_024;
/// Counts that wait: clients times actions times codes. What comes on top is counted per code alone.
const COUNTS: usize = 1_024;

/// A request that was not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) time: Timestamp,
    pub(super) actor: Actor,
    pub(super) client: Option<IpAddr>,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) code: &'static str,
    pub(super) correlation_id: CorrelationId,
    /// How many it stands for, 1 or more.
    pub(super) count: u64,
}

/// Who is counted together: a signed-in user or service, else an address.
type Client = (String, Option<IpAddr>);
/// What is counted together.
type Kind = (Client, String, &'static str);

/// Waits, bounded, for the appender.
#[derive(Debug, Default)]
pub(super) struct DenialBuffer {
    window_start: Timestamp,
    seen: BTreeMap<Client, u64>,
    waiting: Vec<Denial>,
    counts: BTreeMap<Kind, Denial>,
}

impl DenialBuffer {
    /// Takes a denial in: on its own, or into a count.
    pub(super) fn record(&mut self, denial: Denial) {
        self.turn_window(denial.time);
        let client = match denial.actor {
            Actor::Anonymous => (String::new(), denial.client),
            _ => (denial.actor.to_string(), None),
        };
        // Bounded: a client that is not counted any more counts as one that has sent too many.
        let room = self.seen.len() < COUNTS || self.seen.contains_key(&client);
        let seen = if room {
            let seen = self.seen.entry(client.clone()).or_default();
            *seen += 1;
            *seen
        } else {
            u64::MAX
        };
        if seen <= SINGLE_PER_CLIENT && self.waiting.len() < WAITING {
            self.waiting.push(denial);
        } else {
            self.count(client, denial);
        }
    }

    fn count(&mut self, client: Client, denial: Denial) {
        let mut kind = (client, denial.action.clone(), denial.code);
        if self.counts.len() >= COUNTS && !self.counts.contains_key(&kind) {
            kind = (Client::default(), String::new(), denial.code);
        }
        let general = kind.1.is_empty();
        match self.counts.get_mut(&kind) {
            None if general => {
                let (action, subject) = ("*".to_owned(), "*".to_owned());
                let merged = Denial { actor: Actor::Anonymous, client: None, action, subject, ..denial };
                self.counts.insert(kind, merged);
            }
            None => {
                self.counts.insert(kind, denial);
            }
            Some(merged) => {
                merged.count = merged.count.saturating_add(denial.count);
                if merged.subject != denial.subject {
                    merged.subject = "*".to_owned();
                }
            }
        }
    }

    /// A new window begins: what was counted in the old one is complete.
    fn turn_window(&mut self, now: Timestamp) {
        if now.since(self.window_start) >= WINDOW || now < self.window_start {
            self.window_start = now;
            self.seen.clear();
            // What finds no room goes on counting.
            while self.waiting.len() < 2 * WAITING
                && let Some((_, counted)) = self.counts.pop_first()
            {
                self.waiting.push(counted);
            }
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.counts.is_empty()
    }

    /// What is complete at `now`: single denials at once, counts at the end of their window.
    pub(super) fn take(&mut self, now: Timestamp) -> Vec<Denial> {
        self.turn_window(now);
        std::mem::take(&mut self.waiting)
    }

    /// Everything, complete or not: at the end.
    pub(super) fn take_all(&mut self) -> Vec<Denial> {
        let mut all = std::mem::take(&mut self.waiting);
        all.extend(std::mem::take(&mut self.counts).into_values());
        all
    }

    /// Puts back what could not be written; what does not fit any more is counted.
    pub(super) fn put_back(&mut self, denials: Vec<Denial>) {
        for denial in denials {
            if self.waiting.len() < WAITING {
                self.waiting.push(denial);
            } else {
                let client = match denial.actor {
                    Actor::Anonymous => (String::new(), denial.client),
                    _ => (denial.actor.to_string(), None),
                };
                self.count(client, denial);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn denial(client: u8, at_ms: u64, subject: &str) -> Denial {
        Denial {
            time: Timestamp::from_millis(1_000_000 + at_ms),
            actor: Actor::Anonymous,
            client: Some(IpAddr::from([10, 0, 0, client])),
            action: "GET /v1/users".into(),
            subject: subject.into(),
            code: "auth.not_signed_in",
            correlation_id: "req_1".parse().unwrap(),
            count: 1,
        }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    #[test]
    fn a_client_below_the_rate_has_every_denial_on_its_own() {
        let mut buffer = DenialBuffer::default();
        (0..10).for_each(|n| buffer.record(denial(1, n, "a")));
        assert_eq!(buffer.take(at(20)).len(), 10);
        assert_eq!(buffer.take_all().len(), 0);
    }

    #[test]
    fn above_the_rate_denials_are_counted_and_appear_at_the_end_of_the_window() {
        let mut buffer = DenialBuffer::default();
        (0..500).for_each(|n| buffer.record(denial(1, n, if n == 499 { "b" } else { "a" })));
        buffer.record(denial(2, 500, "a"));
        assert_eq!(buffer.take(at(600)).len(), 11);
        let counted = buffer.take(at(1_000));
        assert_eq!(counted.len(), 1);
        assert_eq!((counted[0].count, counted[0].subject.as_str()), (490, "*"));
        buffer.record(denial(1, 1_001, "a"));
        assert_eq!(buffer.take(at(1_002)).len(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_starts_a_new_window() {
        let mut buffer = DenialBuffer::default();
        (0..20).for_each(|_| buffer.record(denial(1, 500, "a")));
        assert_eq!(buffer.take(at(0)).len(), 11);
    }

    #[test]
    fn what_could_not_be_written_is_put_back() {
        let mut buffer = DenialBuffer::default();
        (0..5).for_each(|n| buffer.record(denial(1, n, "a")));
        let taken = buffer.take(at(10));
        buffer.put_back(taken.clone());
        assert_eq!(buffer.take(at(10)), taken);
    }

    proptest! {
        #[test]
        fn none_is_lost_and_the_memory_is_bounded(
            clients in proptest::collection::vec((any::<u8>(), any::<u8>(), 0u64..3_000), 0..6_000),
        ) {
            let mut buffer = DenialBuffer::default();
            for (client, user, at_ms) in &clients {
                let mut denial = denial(*client, *at_ms, "a");
                denial.action = format!("GET /{user}");
                buffer.record(denial);
                prop_assert!(buffer.waiting.len() + buffer.counts.len() <= 2 * (WAITING + COUNTS) + 1);
                prop_assert!(buffer.seen.len() <= COUNTS);
            }
            let total: u64 = buffer.take_all().iter().map(|denial| denial.count).sum();
            prop_assert_eq!(total, clients.len() as u64);
        }
    }
}
