//! What really happened, as the disk and the post office saw it: the platform is held against this.

use std::collections::{BTreeMap, BTreeSet};

use platform_core::kernel::{CorrelationId, EventId, EventPosition, NewEvent, Timestamp};

/// An event that was committed.
#[derive(Debug, Clone)]
pub struct Published {
    /// Where.
    pub store: String,
    /// Where in that store.
    pub position: EventPosition,
    /// What.
    pub event: NewEvent,
}

/// What really happened.
#[derive(Debug, Default)]
pub struct Truth {
    /// Every event that was committed, in the order of the commits.
    pub published: Vec<Published>,
    /// The events of each request.
    pub by_request: BTreeMap<String, Vec<usize>>,
    /// The messages that went out: each id, the tag in its subject, and when.
    pub sent: Vec<(String, String, Timestamp)>,
    /// When each tag must not go out any more.
    pub deadlines: BTreeMap<String, Timestamp>,
    /// When each tag may go out, not before.
    pub send_at: BTreeMap<String, Timestamp>,
    /// Tags that must not go out twice, whatever happens.
    pub hold: BTreeSet<String>,
    /// Denials that were recorded.
    pub denials: u64,
    /// What must not be.
    pub violations: Vec<String>,
}

impl Truth {
    /// A batch was applied.
    pub fn committed(&mut self, store: &str, commit: u64, events: Vec<NewEvent>) {
        for (index, event) in events.into_iter().enumerate() {
            let position = EventPosition { commit, index: index as u16 };
            let at = self.published.len();
            self.by_request.entry(event.correlation_id.to_string()).or_default().push(at);
            self.published.push(Published { store: store.to_owned(), position, event });
        }
    }

    /// The events of a request.
    pub fn of_request<'a>(&'a self, request: &CorrelationId) -> impl Iterator<Item = &'a Published> {
        let places = self.by_request.get(&request.to_string()).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|at| self.published.get(*at))
    }

    /// The event with this id.
    pub fn event(&self, id: EventId) -> Option<&Published> {
        self.published.iter().find(|published| published.event.id == id)
    }

    /// A message went out, at this moment.
    pub fn sent(&mut self, id: &str, subject: &str, now: Timestamp) {
        let tag = subject.strip_prefix("tag ").unwrap_or_default();
        if let Some(deadline) = self.deadlines.get(tag).filter(|deadline| **deadline <= now) {
            let late = format!("mail: {tag} went out at {now}, its deadline was {deadline}");
            self.violations.push(late);
        }
        if self.hold.contains(tag) && self.sent.iter().any(|(_, other, _)| other == tag) {
            self.violations.push(format!("mail: {tag} went out twice, though it was to be held"));
        }
        self.sent.push((id.to_owned(), tag.to_owned(), now));
    }

    /// Something must not be.
    pub fn violated(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }
}
