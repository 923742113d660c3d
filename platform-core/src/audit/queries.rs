//! Finding entries.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::model::AuditEntry;
use super::reader::first_of;
use super::segment::{self, searchable};
use super::tables::{BY_ACTION, BY_ACTOR, BY_SUBJECT, BY_TIME, ENTRIES, bucket_of};
use crate::kernel::{Cursor, Page, PageRequest, Result, Timestamp, UserId};
use crate::ports::store::{Doc, IndexRange, KeyReader, KeyWriter, Store};

/// Segments that are read at once.
const SCAN: usize = 32;
/// Scans for one page: a filter that fits almost nothing gives a short page with a cursor, not a long
/// wait.
const SCANS: usize = 64;

/// Which entries are wanted; all that is given has to fit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Who did it: `user:user_…` (or `user_…` alone), `service:NAME`, `anonymous`, `system`.
    #[serde(default)]
    pub actor: Option<String>,
    /// What it was done to.
    #[serde(default)]
    pub subject: Option<String>,
    /// What was done.
    #[serde(default)]
    pub action: Option<String>,
    /// Not before.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Before.
    #[serde(default)]
    pub to: Option<Timestamp>,
}

/// A place in the order of a query: minute of the time, then number. Entries come from the highest down.
type Place = (u64, u64);

impl EventsQuery {
    fn actor(&self) -> Option<String> {
        self.actor.as_ref().map(|actor| match actor.parse::<UserId>() {
            Ok(user) => format!("user:{user}"),
            Err(_) => actor.clone(),
        })
    }

    /// The index that narrows most, and the value in it.
    fn index(&self) -> (&'static str, Option<String>) {
        let actor = self.actor();
        match (actor, &self.subject, &self.action) {
            (_, Some(subject), _) => (BY_SUBJECT, Some(subject.clone())),
            (Some(actor), None, _) => (BY_ACTOR, Some(actor)),
            (None, None, Some(action)) => (BY_ACTION, Some(action.clone())),
            (None, None, None) => (BY_TIME, None),
        }
    }

    fn fits(&self, entry: &AuditEntry) -> bool {
        self.actor().is_none_or(|actor| actor == entry.what.actor.to_string())
            && self.subject.as_ref().is_none_or(|subject| *subject == entry.what.subject)
            && self.action.as_ref().is_none_or(|action| *action == entry.what.action)
            && self.from.is_none_or(|from| from <= entry.what.time)
            && self.to.is_none_or(|to| entry.what.time < to)
    }
}

fn place_of(entry: &AuditEntry) -> Place {
    (bucket_of(entry.what.time), entry.index)
}

/// The page of entries that fit, newest minute first, within a minute the highest number first.
pub(super) async fn events(
    store: &dyn Store,
    query: &EventsQuery,
    page: &PageRequest,
) -> Result<Page<AuditEntry>> {
    let limit = page.limit()?;
    let (index, value) = query.index();
    let prefix = value.as_deref().map_or_else(Vec::new, |v| KeyWriter::new().text(searchable(v)).finish());
    let key = |(bucket, number): Place| KeyWriter::new().fixed(&prefix).u64(bucket).u64(number).finish();
    let lowest = (query.from.map_or(0, bucket_of), 0);
    let highest = (query.to.map_or(u64::MAX, bucket_of), u64::MAX);
    let mut below = page.cursor.as_ref().map(read_cursor).transpose()?; // only places below this one
    let mut items = Vec::new();
    for _ in 0..SCANS {
        let upper = below.map_or(highest, before);
        let range = IndexRange::index(ENTRIES.name, index)
            .between(Bound::Included(key(lowest)), Bound::Included(key(upper)))
            .backward()
            .limit(SCAN);
        let found = store.scan(&range).await?;
        let mut returned: BTreeMap<u64, usize> = BTreeMap::new();
        for segment in &found.docs {
            let first = first_of(segment)?;
            let turn = returned.entry(first).or_default();
            let entries = read(segment)?;
            let Some(bucket) = bucket_at(&entries, index, value.as_deref(), first, upper, *turn) else {
                continue;
            };
            *turn += 1;
            for entry in entries.into_iter().rev() {
                let place = place_of(&entry);
                if place.0 != bucket || below.is_some_and(|below| place >= below) || !query.fits(&entry) {
                    continue;
                }
                if items.len() == limit {
                    let next_cursor = items.last().map(|last| cursor(place_of(last)));
                    return Ok(Page { items, next_cursor });
                }
                items.push(entry);
            }
            below = Some((bucket, first));
        }
        if found.next.is_none() {
            return Ok(Page { items, next_cursor: None });
        }
    }
    Ok(Page { items, next_cursor: below.map(cursor) })
}

/// The minute by which a segment was found: the store returns a segment once per index entry, from the
/// highest down, and this is its `turn`-th.
fn bucket_at(
    entries: &[AuditEntry],
    index: &str,
    value: Option<&str>,
    first: u64,
    upper: Place,
    turn: usize,
) -> Option<u64> {
    let indexed = |entry: &AuditEntry| {
        let own = match index {
            BY_ACTOR => entry.what.actor.to_string(),
            BY_SUBJECT => entry.what.subject.clone(),
            BY_ACTION => entry.what.action.clone(),
            _ => return true,
        };
        value.is_none_or(|value| searchable(value) == searchable(&own))
    };
    let buckets: BTreeSet<u64> =
        entries.iter().filter(|entry| indexed(entry)).map(|entry| bucket_of(entry.what.time)).collect();
    buckets.into_iter().rev().filter(|bucket| (*bucket, first) <= upper).nth(turn)
}

fn read(segment: &Doc) -> Result<Vec<AuditEntry>> {
    segment::decode(segment.body.as_bytes())?
        .into_iter()
        .map(|(_, leaf)| AuditEntry::from_leaf(leaf))
        .collect()
}

/// The next lower place.
fn before((bucket, number): Place) -> Place {
    match number.checked_sub(1) {
        Some(number) => (bucket, number),
        None => (bucket.saturating_sub(1), if bucket == 0 { 0 } else { u64::MAX }),
    }
}

fn cursor((bucket, number): Place) -> Cursor {
    Cursor::from_bytes(KeyWriter::new().u64(bucket).u64(number).finish())
}

fn read_cursor(cursor: &Cursor) -> Result<Place> {
    let invalid = |_| crate::kernel::Error::invalid("request.invalid_cursor", "not a cursor of this list");
    let mut reader = KeyReader::new(cursor.as_bytes());
    Ok((reader.u64().map_err(invalid)?, reader.u64().map_err(invalid)?))
}
