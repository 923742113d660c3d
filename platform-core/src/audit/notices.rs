//! Denied requests and shown personal data, between the request and the log: bounded, and merged when one
//! client causes many.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::kernel::{Actor, CorrelationId, Timestamp, UserId};

/// Notices of one client within [`WINDOW`] that become entries of their own; the others are counted.
const SINGLE_PER_CLIENT: u64 = 10;
/// The time over which a client's notices are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(1);
/// Notices that wait on their own: about a megabyte. What comes on top is counted.
const WAITING: usize = 1_024;
/// Counts that wait: clients times actions times codes. What comes on top is counted per code alone.
const COUNTS: usize = 1_024;

/// Something that is no event and belongs into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) time: Timestamp,
    pub(super) actor: Actor,
    pub(super) client: Option<IpAddr>,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) matter: Matter,
    pub(super) correlation_id: CorrelationId,
    /// How many it stands for, 1 or more.
    pub(super) count: u64,
}

/// What a notice is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Matter {
    /// A request was not allowed, with this code.
    Denied(&'static str),
    /// Personal data were shown: whose (not told of several together), and how many things.
    Shown(Vec<UserId>, u64),
}

impl Matter {
    /// What is counted apart: denials by their code, and everything that was shown.
    fn code(&self) -> &'static str {
        match self {
            Matter::Denied(code) => code,
            Matter::Shown(..) => "",
        }
    }

    fn merge(&mut self, other: Matter) {
        if let (Matter::Shown(people, shown), Matter::Shown(_, more)) = (self, other) {
            people.clear();
            *shown = shown.saturating_add(more);
        }
    }
}

/// Who is counted together: a signed-in user or service, else an address.
type Client = (String, Option<IpAddr>);
/// What is counted together.
type Kind = (Client, String, &'static str);

/// Waits, bounded, for the appender.
#[derive(Debug, Default)]
pub(super) struct Notices {
    window_start: Timestamp,
    /// Notices in this window: of denials, and of what was shown.
    seen: BTreeMap<(Client, bool), u64>,
    waiting: Vec<Notice>,
    counts: BTreeMap<Kind, Notice>,
}

impl Notices {
    /// Takes a notice in: on its own, or into a count.
    pub(super) fn record(&mut self, notice: Notice) {
        self.turn_window(notice.time);
        let client = client_of(&notice);
        // Bounded: a client that is not counted any more counts as one that has sent too many.
        let counted = (client.clone(), matches!(notice.matter, Matter::Denied(_)));
        let room = self.seen.len() < COUNTS || self.seen.contains_key(&counted);
        let seen = if room {
            let seen = self.seen.entry(counted).or_default();
            *seen += 1;
            *seen
        } else {
            u64::MAX
        };
        if seen <= SINGLE_PER_CLIENT && self.waiting.len() < WAITING {
            self.waiting.push(notice);
        } else {
            self.count(client, notice);
        }
    }

    fn count(&mut self, client: Client, notice: Notice) {
        let mut kind = (client, notice.action.clone(), notice.matter.code());
        if self.counts.len() >= COUNTS && !self.counts.contains_key(&kind) {
            kind = (Client::default(), String::new(), notice.matter.code());
        }
        let general = kind.1.is_empty();
        match self.counts.get_mut(&kind) {
            None if general => {
                let (action, subject) = ("*".to_owned(), "*".to_owned());
                let merged = Notice { actor: Actor::Anonymous, client: None, action, subject, ..notice };
                self.counts.insert(kind, merged);
            }
            None => {
                self.counts.insert(kind, notice);
            }
            Some(merged) => {
                merged.count = merged.count.saturating_add(notice.count);
                merged.matter.merge(notice.matter);
                if merged.subject != notice.subject {
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

    /// How long until something is complete; `None` when nothing waits.
    pub(super) fn due_in(&self, now: Timestamp) -> Option<Duration> {
        match (self.waiting.is_empty(), self.counts.is_empty()) {
            (false, _) => Some(Duration::ZERO),
            (true, false) => Some(WINDOW.saturating_sub(now.since(self.window_start))),
            (true, true) => None,
        }
    }

    /// What is complete at `now`: single notices at once, counts at the end of their window.
    pub(super) fn take(&mut self, now: Timestamp) -> Vec<Notice> {
        self.turn_window(now);
        std::mem::take(&mut self.waiting)
    }

    /// Everything, complete or not: at the end.
    pub(super) fn take_all(&mut self) -> Vec<Notice> {
        let mut all = std::mem::take(&mut self.waiting);
        all.extend(std::mem::take(&mut self.counts).into_values());
        all
    }

    /// Puts back what could not be written; what does not fit any more is counted.
    fn put_back(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            if self.waiting.len() < WAITING {
                self.waiting.push(notice);
            } else {
                self.count(client_of(&notice), notice);
            }
        }
    }
}

/// Notices that somebody took: what is not settled waits again.
pub(super) struct Taken<'a> {
    buffer: &'a Mutex<Notices>,
    notices: Vec<Notice>,
}

impl Taken<'_> {
    /// What is complete at `now`, or everything when there is no `now`.
    pub(super) fn from(buffer: &Mutex<Notices>, now: Option<Timestamp>) -> Taken<'_> {
        let notices = match now {
            Some(now) => buffer.lock().take(now),
            None => buffer.lock().take_all(),
        };
        Taken { buffer, notices }
    }

    pub(super) fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// They are in somebody else's hands.
    pub(super) fn settled(mut self) {
        self.notices.clear();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.notices.is_empty() {
            self.buffer.lock().put_back(std::mem::take(&mut self.notices));
        }
    }
}

fn client_of(notice: &Notice) -> Client {
    match notice.actor {
        Actor::Anonymous => (String::new(), notice.client),
        _ => (notice.actor.to_string(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::RawId;
    use proptest::prelude::*;

    fn notice(client: u8, at_ms: u64, subject: &str) -> Notice {
        Notice {
            time: Timestamp::from_millis(1_000_000 + at_ms),
            actor: Actor::Anonymous,
            client: Some(IpAddr::from([10, 0, 0, client])),
            action: "GET /v1/users".into(),
            subject: subject.into(),
            matter: Matter::Denied("auth.not_signed_in"),
            correlation_id: "req_1".parse().unwrap(),
            count: 1,
        }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    #[test]
    fn a_client_below_the_rate_has_every_notice_on_its_own() {
        let mut buffer = Notices::default();
        (0..10).for_each(|n| buffer.record(notice(1, n, "a")));
        assert_eq!(buffer.take(at(20)).len(), 10);
        assert_eq!(buffer.take_all().len(), 0);
    }

    #[test]
    fn above_the_rate_notices_are_counted_and_appear_at_the_end_of_the_window() {
        let mut buffer = Notices::default();
        (0..500).for_each(|n| buffer.record(notice(1, n, if n == 499 { "b" } else { "a" })));
        buffer.record(notice(2, 500, "a"));
        assert_eq!(buffer.take(at(600)).len(), 11);
        let counted = buffer.take(at(1_000));
        assert_eq!(counted.len(), 1);
        assert_eq!((counted[0].count, counted[0].subject.as_str()), (490, "*"));
        buffer.record(notice(1, 1_001, "a"));
        assert_eq!(buffer.take(at(1_002)).len(), 1);
    }

    fn shown(client: u8, at_ms: u64, subject: &str) -> Notice {
        let matter = Matter::Shown(vec![UserId(RawId([7; 16]))], 2);
        Notice { matter, action: "users.profile_read".into(), ..notice(client, at_ms, subject) }
    }

    #[test]
    fn what_is_shown_is_counted_apart_from_denials_and_its_number_is_kept() {
        let mut buffer = Notices::default();
        (0..12).for_each(|n| buffer.record(notice(1, n, "a")));
        (0..15).for_each(|n| buffer.record(shown(1, n, "a")));
        assert_eq!(buffer.take(at(20)).len(), 20);
        assert_eq!(buffer.due_in(at(900)), Some(Duration::from_millis(100)));
        let counted = buffer.take(at(1_000));
        let matters: Vec<_> = counted.iter().map(|notice| (&notice.matter, notice.count)).collect();
        let denied = Matter::Denied("auth.not_signed_in");
        assert_eq!(matters, [(&denied, 2), (&Matter::Shown(Vec::new(), 10), 5)]);
        assert_eq!(buffer.due_in(at(1_000)), None);
    }

    #[test]
    fn a_clock_that_goes_back_starts_a_new_window() {
        let mut buffer = Notices::default();
        (0..20).for_each(|_| buffer.record(notice(1, 500, "a")));
        assert_eq!(buffer.take(at(0)).len(), 11);
    }

    #[test]
    fn what_was_taken_and_given_up_waits_again() {
        let buffer = Mutex::new(Notices::default());
        (0..15).for_each(|n| buffer.lock().record(notice(1, n, "a")));
        drop(Taken::from(&buffer, None));
        let taken = Taken::from(&buffer, None);
        assert_eq!(taken.notices().iter().map(|notice| notice.count).sum::<u64>(), 15);
        taken.settled();
        assert!(Taken::from(&buffer, None).notices().is_empty());
    }

    #[test]
    fn what_could_not_be_written_is_put_back() {
        let mut buffer = Notices::default();
        (0..5).for_each(|n| buffer.record(notice(1, n, "a")));
        let taken = buffer.take(at(10));
        buffer.put_back(taken.clone());
        assert_eq!(buffer.take(at(10)), taken);
    }

    proptest! {
        #[test]
        fn none_is_lost_and_the_memory_is_bounded(
            clients in proptest::collection::vec((any::<u8>(), any::<u8>(), 0u64..3_000), 0..6_000),
        ) {
            let mut buffer = Notices::default();
            for (client, user, at_ms) in &clients {
                let mut notice = notice(*client, *at_ms, "a");
                notice.action = format!("GET /{user}");
                buffer.record(notice);
                prop_assert!(buffer.waiting.len() + buffer.counts.len() <= 2 * (WAITING + COUNTS) + 1);
                prop_assert!(buffer.seen.len() <= COUNTS);
            }
            let total: u64 = buffer.take_all().iter().map(|notice| notice.count).sum();
            prop_assert_eq!(total, clients.len() as u64);
        }
    }
}
