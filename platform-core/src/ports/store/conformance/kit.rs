//! What the cases share.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Place;
use crate::kernel::{Actor, EventId, NewEvent, Position, RawId, Result, Timestamp};
use crate::ports::store::{
    Batch, Body, Collection, Commit, CommitError, Doc, DocKey, Entry, Expect, Idempotency, Index, IndexRange,
    ScanPage, Schema, Store, Stores, Write,
};

pub(super) const THINGS: &str = "things";
pub(super) const OTHERS: &str = "others";
pub(super) const BLOCKS: &str = "blocks";
pub(super) const COUNTERS: &str = "counters";

/// The document of the suite: a unique index, a shared one, one of many entries, a unique one of many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    pub mail: Option<String>,
    pub name: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub phones: Vec<String>,
}

pub(super) const INDEXES: &[Index] = &[
    Index::unique("by_mail"),
    Index::one("by_name"),
    Index::many("by_tag"),
    Index { unique: true, ..Index::many("by_phone") },
];

/// The schema of the suite.
pub fn schema() -> Schema {
    Schema::new(
        "suite",
        3,
        &[
            Collection::json(THINGS).indexed(INDEXES, reindex),
            Collection::json(OTHERS).indexed(INDEXES, reindex),
            Collection::binary(BLOCKS).indexed(BLOCK_INDEXES, reindex_block),
            Collection::json(COUNTERS),
        ],
    )
}

const BLOCK_INDEXES: &[Index] = &[Index::one("by_first"), Index::unique("by_all"), Index::many("by_byte")];

pub(super) fn reindex(_id: &[u8], body: &Body) -> Result<Vec<Entry>> {
    let thing: Thing = serde_json::from_slice(body.as_bytes())
        .map_err(|_| crate::kernel::Error::data_loss("store.damaged", "not a thing"))?;
    Ok(thing.entries())
}

/// The first byte, all bytes (when they fit), and each different byte.
pub(super) fn reindex_block(_id: &[u8], body: &Body) -> Result<Vec<Entry>> {
    let bytes = body.as_bytes();
    let mut entries: Vec<Entry> = bytes.iter().take(1).map(|byte| Entry::new("by_first", [*byte])).collect();
    if !bytes.is_empty() && bytes.len() < 100 {
        entries.push(Entry::new("by_all", bytes));
        let different: std::collections::BTreeSet<u8> = bytes.iter().copied().collect();
        entries.extend(different.into_iter().map(|byte| Entry::new("by_byte", [byte])));
    }
    Ok(entries)
}

impl Thing {
    pub(super) fn mail(mail: &str) -> Thing {
        Thing { mail: Some(mail.into()), ..Thing::default() }
    }

    pub(super) fn name(name: &str) -> Thing {
        Thing { name: Some(name.into()), ..Thing::default() }
    }

    pub(super) fn tags(tags: &[&str]) -> Thing {
        Thing { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..Thing::default() }
    }

    pub(super) fn phones(phones: &[&str]) -> Thing {
        Thing { phones: phones.iter().map(|phone| (*phone).to_owned()).collect(), ..Thing::default() }
    }

    fn entries(&self) -> Vec<Entry> {
        let mail = self.mail.iter().map(|mail| Entry::new("by_mail", mail.as_str()));
        let name = self.name.iter().map(|name| Entry::new("by_name", name.as_str()));
        let tags = self.tags.iter().map(|tag| Entry::new("by_tag", tag.as_str()));
        let phones = self.phones.iter().map(|phone| Entry::new("by_phone", phone.as_str()));
        mail.chain(name).chain(tags).chain(phones).collect()
    }

    /// The write of this thing in a collection.
    pub(super) fn put_in(&self, collection: &'static str, id: impl Into<Vec<u8>>) -> Write {
        Write::Put {
            key: DocKey::new(collection, id),
            body: Body::Json(serde_json::to_string(self).unwrap()),
            entries: self.entries(),
        }
    }

    pub(super) fn put(&self, id: impl Into<Vec<u8>>) -> Write {
        self.put_in(THINGS, id)
    }
}

/// A store with what keeps its place open.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) stores: Arc<dyn Stores>,
}

impl std::ops::Deref for Opened {
    type Target = dyn Store;

    fn deref(&self) -> &(dyn Store + 'static) {
        &*self.store
    }
}

pub(super) async fn open(place: &dyn Place) -> Opened {
    open_as(place, &schema()).await.unwrap()
}

pub(super) async fn open_as(place: &dyn Place, schema: &Schema) -> Result<Opened> {
    let stores = place.stores()?;
    Ok(Opened { store: stores.open(schema).await?, stores })
}

pub(super) fn thing(id: impl Into<Vec<u8>>) -> DocKey {
    DocKey::new(THINGS, id)
}

pub(super) fn delete(id: impl Into<Vec<u8>>) -> Write {
    Write::Delete { key: thing(id) }
}

pub(super) fn add(id: &str, delta: i64, min: i64, max: i64) -> Write {
    Write::Add { key: DocKey::new(COUNTERS, id), delta, min, max }
}

/// A block with its entries.
pub(super) fn block(id: &str, bytes: &[u8]) -> Write {
    let body = Body::Binary(bytes.to_vec());
    let entries = reindex_block(&[], &body).unwrap();
    Write::Put { key: DocKey::new(BLOCKS, id), body, entries }
}

pub(super) fn writes(writes: Vec<Write>) -> Batch {
    Batch { writes, ..Batch::default() }
}

pub(super) fn expecting(expects: Vec<(DocKey, Expect)>, writes: Vec<Write>) -> Batch {
    Batch { expects, writes, ..Batch::default() }
}

/// Commits writes that must succeed.
pub(super) async fn commit(store: &dyn Store, batch: Vec<Write>) -> Commit {
    store.commit(writes(batch)).await.unwrap()
}

/// The code of a batch that must be refused as malformed.
pub(super) async fn refused(store: &dyn Store, batch: Batch) -> &'static str {
    match store.commit(batch).await {
        Err(CommitError::Invalid(error)) => error.code(),
        other => panic!("not refused as malformed: {other:?}"),
    }
}

pub(super) async fn get(store: &dyn Store, key: DocKey) -> Option<Doc> {
    store.get(&[key]).await.unwrap().pop().unwrap()
}

pub(super) async fn version(store: &dyn Store, key: DocKey) -> Option<Position> {
    get(store, key).await.map(|doc| doc.version)
}

pub(super) async fn scan(store: &dyn Store, range: IndexRange) -> ScanPage {
    store.scan(&range).await.unwrap()
}

/// The ids of a page, as text.
pub(super) async fn ids(store: &dyn Store, range: IndexRange) -> Vec<String> {
    let page = scan(store, range).await;
    page.docs.into_iter().map(|doc| String::from_utf8_lossy(&doc.id).into_owned()).collect()
}

/// Reads page by page until the end, and returns all ids.
pub(super) async fn all_pages(store: &dyn Store, range: IndexRange) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut range = range;
    loop {
        let page = scan(store, range.clone()).await;
        assert!(page.docs.len() <= range.limit);
        assert!(page.next.is_none() || page.docs.len() == range.limit);
        found.extend(page.docs.into_iter().map(|doc| doc.id));
        match page.next {
            None => return found,
            next => range = range.after(next),
        }
    }
}

pub(super) fn event(number: u64) -> NewEvent {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    NewEvent {
        id: EventId(RawId(id)),
        event_type: "suite.happened".into(),
        subject: format!("thing_{number}"),
        key: format!("thing_{number}"),
        time: Timestamp::from_secs(1_700_000_000),
        actor: Actor::System,
        correlation_id: "req_suite".parse().unwrap(),
        causation_id: None,
        data: json!({ "number": number }).into(),
    }
}

/// The numbers of the events in the outbox.
pub(super) async fn event_numbers(store: &dyn Store) -> Vec<u64> {
    let events = store.outbox(crate::kernel::EventPosition::START, 100_000).await.unwrap();
    let number = |json: &[u8]| {
        serde_json::from_slice::<serde_json::Value>(json).unwrap()["data"]["number"].as_u64().unwrap()
    };
    events.iter().map(|(_, json)| number(json)).collect()
}

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
pub(super) const LATER: Timestamp = Timestamp::from_secs(1_700_000_060);

pub(super) fn remember(key: &str, request: u8, response: &str) -> Idempotency {
    Idempotency {
        scope: "user_1|suite".into(),
        key: key.into(),
        fingerprint: [request; 32],
        response: response.as_bytes().to_vec(),
        now: NOW,
        expires_at: LATER,
    }
}

pub(super) fn is_conflict(result: &Result<Commit, CommitError>) -> bool {
    matches!(result, Err(CommitError::Conflict { .. }))
}

/// SplitMix64, for cases with random parts: the same in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
