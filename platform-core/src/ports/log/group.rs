//! Consumer groups within one process: what every log shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::select_all;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Record, Subscription};
use crate::kernel::{BoxFuture, Error, Result};

/// What a subscription needs of its log.
pub trait Source: Send + Sync + 'static {
    /// As [`super::EventLog::read`].
    ///
    /// # Errors
    /// As [`super::EventLog::read`].
    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>>;

    /// Where a group goes on; 0 if it never committed.
    ///
    /// # Errors
    /// `log.unavailable`.
    fn offset<'a>(&'a self, group: &'a str, topic: &'a str, partition: u16) -> BoxFuture<'a, Result<u64>>;

    /// Remembers where a group goes on.
    ///
    /// # Errors
    /// `log.unavailable`.
    fn set_offset<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
        partition: u16,
        offset: u64,
    ) -> BoxFuture<'a, Result<()>>;
}

/// The partitions that this process may share out among its members, each with a number that grows when it comes back
/// after it was somebody else's.
pub type Assigned = watch::Receiver<BTreeMap<u16, u64>>;

/// The live members of all groups of a log.
#[derive(Default, Clone)]
pub struct Groups(Arc<Mutex<BTreeMap<(String, String), Members>>>);

#[derive(Default)]
struct Members {
    next: u64,
    present: watch::Sender<Vec<u64>>,
}

impl Groups {
    /// Joins a group whose members are all in this process: the partitions are shared out anew.
    pub fn join(
        &self,
        source: Arc<dyn Source>,
        group: &str,
        topic: &str,
        ends: Vec<watch::Receiver<u64>>,
    ) -> Box<dyn Subscription> {
        let all = (0..ends.len()).map(|partition| (partition as u16, 0)).collect();
        self.join_assigned(source, group, topic, ends, watch::Sender::new(all).subscribe())
    }

    /// Joins a group that has members in other processes, too: those here share out what is assigned to this process.
    pub fn join_assigned(
        &self,
        source: Arc<dyn Source>,
        group: &str,
        topic: &str,
        ends: Vec<watch::Receiver<u64>>,
        assigned: Assigned,
    ) -> Box<dyn Subscription> {
        let name = (group.to_owned(), topic.to_owned());
        let mut groups = self.0.lock();
        let members = groups.entry(name.clone()).or_default();
        let me = members.next;
        members.next += 1;
        members.present.send_modify(|present| present.push(me));
        let mut present = members.present.subscribe();
        present.mark_changed();
        Box::new(Member {
            source,
            groups: self.clone(),
            name,
            me,
            present,
            assigned,
            ends,
            places: BTreeMap::new(),
            turn: 0,
        })
    }

    fn leave(&self, name: &(String, String), me: u64) {
        let mut groups = self.0.lock();
        if let Some(members) = groups.get(name) {
            members.present.send_modify(|present| present.retain(|member| *member != me));
            if members.present.borrow().is_empty() {
                groups.remove(name);
            }
        }
    }
}

struct Member {
    source: Arc<dyn Source>,
    groups: Groups,
    name: (String, String),
    me: u64,
    present: watch::Receiver<Vec<u64>>,
    assigned: Assigned,
    ends: Vec<watch::Receiver<u64>>,
    /// The next offset to read of each partition that is its own, and the number with which it was assigned.
    places: BTreeMap<u16, (u64, u64)>,
    /// Which partition goes first next time, so that none starves.
    turn: usize,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.groups.leave(&self.name, self.me);
    }
}

impl Member {
    /// Takes its share of the partitions, if the members or what is assigned to them have changed.
    async fn share(&mut self) -> Result<()> {
        if !self.present.has_changed().unwrap_or(false) && !self.assigned.has_changed().unwrap_or(false) {
            return Ok(());
        }
        // Until all places are known: who stops waiting for them begins anew.
        let (present, assigned) = (self.present.borrow().clone(), self.assigned.borrow().clone());
        let rank = present.iter().position(|member| *member == self.me);
        let mut own = BTreeMap::new();
        for (at, (partition, number)) in assigned.iter().enumerate() {
            if rank.is_some_and(|rank| at % present.len() == rank) {
                own.insert(*partition, *number);
            }
        }
        self.places.retain(|partition, (_, number)| own.get(partition) == Some(number));
        for (partition, number) in own {
            if !self.places.contains_key(&partition) {
                let offset = self.source.offset(&self.name.0, &self.name.1, partition).await?;
                self.places.insert(partition, (offset, number));
            }
        }
        if *self.present.borrow_and_update() != present {
            self.present.mark_changed();
        }
        if *self.assigned.borrow_and_update() != assigned {
            self.assigned.mark_changed();
        }
        Ok(())
    }

    /// The next partition with records that were not read: where to read on, and where it ends.
    fn waiting(&mut self) -> Option<(u16, u64, u64)> {
        let count = self.places.len();
        let first = self.turn % count.max(1);
        let mut in_turn = self.places.iter().cycle().skip(first).take(count);
        let ends = &mut self.ends;
        let found = in_turn.find_map(|(partition, (place, _))| {
            let end = *ends.get_mut(usize::from(*partition))?.borrow_and_update();
            (end > *place).then_some((*partition, *place, end))
        });
        self.turn = self.turn.wrapping_add(1);
        found
    }

    async fn wait(&mut self) -> Result<()> {
        let closed = |_| Error::unavailable("log.closed", "the log was closed");
        let ends = self.places.keys().filter_map(|partition| self.ends.get(usize::from(*partition)));
        let mut changes: Vec<BoxFuture<'_, Result<()>>> = Vec::new();
        for mut end in ends.cloned() {
            changes.push(Box::pin(async move { end.changed().await.map_err(closed) }));
        }
        let mut present = self.present.clone();
        changes.push(Box::pin(async move { present.changed().await.map_err(closed) }));
        let mut assigned = self.assigned.clone();
        changes.push(Box::pin(async move {
            // Nobody will ever assign anything else to members that are all in this process.
            if assigned.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            Ok(())
        }));
        select_all(changes).await.0
    }
}

impl Subscription for Member {
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Record>>> {
        Box::pin(async move {
            loop {
                self.share().await?;
                let Some((partition, place, end)) = self.waiting() else {
                    self.wait().await?;
                    continue;
                };
                let records = self.source.read(&self.name.1, partition, place, limit).await?;
                // Nothing there: retention has removed everything up to the end.
                let next = records.last().map_or(end, |last| last.offset + 1);
                if let Some((place, _)) = self.places.get_mut(&partition) {
                    *place = next;
                }
                if !records.is_empty() {
                    return Ok(records);
                }
            }
        })
    }

    fn commit(&mut self, partition: u16, offset: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.source.set_offset(&self.name.0, &self.name.1, partition, offset).await })
    }
}
