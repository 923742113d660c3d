//! Finding one entry among the many of a subject that are in order.

use std::cmp::Ordering;
use std::ops::Bound;

use super::error;
use super::model::AuditEntry;
use super::reader::first_of;
use super::segment::{self, searchable};
use super::tables::{BY_SUBJECT, ENTRIES, bucket_of};
use super::{Audit, READ};
use crate::kernel::{Context, Result, Timestamp};
use crate::ports::store::{IndexRange, KeyWriter, Store};

impl Audit {
    /// The entry for which `order` says [`Ordering::Equal`], among the entries of a subject.
    ///
    /// Those entries of which `order` says anything must have been appended in its order; it says `None` of
    /// the others. With `near`, only what happened at most a minute before or after is looked at: a few
    /// reads. Without it, every minute is looked at. `None` when there is no such entry.
    ///
    /// # Errors
    /// `auth.forbidden` without `audit:read`; those of the store.
    pub async fn locate(
        &self,
        context: &Context,
        subject: &str,
        near: Option<Timestamp>,
        order: impl Fn(&AuditEntry) -> Option<Ordering> + Send + Sync,
    ) -> Result<Option<AuditEntry>> {
        context.require(&READ)?;
        let search = Search { store: &*self.db.store, subject, order };
        let (earliest, mut below) = match near.map(bucket_of) {
            Some(minute) => (minute.saturating_sub(1), minute.saturating_add(2)),
            None => (0, u64::MAX),
        };
        while let Some(minute) = search.minute_below(below).await?.filter(|minute| *minute >= earliest) {
            if let Some(found) = search.minute(minute).await? {
                return Ok(Some(found));
            }
            below = minute;
        }
        Ok(None)
    }
}

struct Search<'a, O> {
    store: &'a dyn Store,
    subject: &'a str,
    order: O,
}

impl<O: Fn(&AuditEntry) -> Option<Ordering> + Send + Sync> Search<'_, O> {
    fn key(&self, minute: u64, number: u64) -> Vec<u8> {
        KeyWriter::new().text(searchable(self.subject)).u64(minute).u64(number).finish()
    }

    /// Bisects the segments of a minute by their numbers.
    async fn minute(&self, minute: u64) -> Result<Option<AuditEntry>> {
        let (mut low, mut high) = match (self.end(minute, false).await?, self.end(minute, true).await?) {
            (Some((first, _)), Some((last, _))) => (first, last + 1),
            _ => return Ok(None),
        };
        while low < high {
            let middle = low.midpoint(high);
            let Some((mut number, mut entries)) = self.segment(minute, middle, high, false).await? else {
                high = middle;
                continue;
            };
            // Segments in which nothing is in order are passed over.
            while entries.iter().all(|entry| (self.order)(entry).is_none()) {
                match self.segment(minute, number + 1, high, false).await? {
                    Some(next) => (number, entries) = next,
                    None => break,
                }
            }
            let ordered = || entries.iter().filter_map(|entry| Some((entry, (self.order)(entry)?)));
            if let Some((found, _)) = ordered().find(|(_, order)| order.is_eq()) {
                return Ok(Some(found.clone()));
            }
            match ordered().next() {
                Some((_, Ordering::Less)) => low = number + 1,
                _ => high = middle,
            }
        }
        Ok(None)
    }

    /// The first or the last segment of a minute.
    async fn end(&self, minute: u64, last: bool) -> Result<Option<(u64, Vec<AuditEntry>)>> {
        self.segment(minute, 0, u64::MAX, last).await
    }

    /// The first (or the last) segment of a minute with a number of `from..to`.
    async fn segment(
        &self,
        minute: u64,
        from: u64,
        to: u64,
        last: bool,
    ) -> Result<Option<(u64, Vec<AuditEntry>)>> {
        let (from, to) = (Bound::Included(self.key(minute, from)), Bound::Excluded(self.key(minute, to)));
        let range = IndexRange::index(ENTRIES.name, BY_SUBJECT).between(from, to).limit(1);
        let range = if last { range.backward() } else { range };
        let Some(segment) = self.store.scan(&range).await?.docs.pop() else { return Ok(None) };
        let entries = segment::decode(segment.body.as_bytes())?
            .into_iter()
            .map(|(_, leaf)| AuditEntry::from_leaf(leaf))
            .filter(|entry| entry.as_ref().map_or(true, |entry| entry.what.subject == self.subject))
            .collect::<Result<Vec<_>>>()?;
        Ok(Some((first_of(&segment)?, entries)))
    }

    /// The latest minute before `below` in which there is an entry of the subject.
    async fn minute_below(&self, below: u64) -> Result<Option<u64>> {
        let (from, to) = (Bound::Included(self.key(0, 0)), Bound::Excluded(self.key(below, 0)));
        let range = IndexRange::index(ENTRIES.name, BY_SUBJECT).between(from, to).backward().limit(1);
        let page = self.store.scan(&range).await?;
        let Some(segment) = page.docs.first() else { return Ok(None) };
        // A segment stands in the index once per minute: the latest one before `below` found it.
        let minutes = segment::decode(segment.body.as_bytes())?
            .into_iter()
            .map(|(_, leaf)| AuditEntry::from_leaf(leaf))
            .collect::<Result<Vec<_>>>()?;
        let own = minutes.iter().filter(|entry| searchable(&entry.what.subject) == searchable(self.subject));
        let latest = own.map(|entry| bucket_of(entry.what.time)).filter(|minute| *minute < below).max();
        latest.map(Some).ok_or_else(|| error::damaged("index"))
    }
}
