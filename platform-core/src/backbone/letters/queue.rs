//! The rows of waiting events.

use aws_lc_rs::digest::{SHA256, digest};

use super::DeadLetter;
use super::model::{Cause, Letter, Parked};
use crate::backbone::mark::{from_json, row, to_json};
use crate::kernel::{Cursor, DeadLetterId, Error, Event, Page, Position, Result, limits};
use crate::ports::Database;
use crate::ports::store::{DocKey, Expect, INBOX, IndexRange, KeyWriter, Work, Write};

/// A longer key stands in a row's id as its SHA-256, so that the id fits [`limits::KEY_BYTES`].
const KEY_MAX: usize = 120;

/// One queue: the waiting events of a key of a store, for a handler in one generation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queue<'a> {
    pub(crate) handler: &'static str,
    pub(crate) generation: u64,
    pub(crate) store: &'a str,
    pub(crate) key: &'a str,
}

impl Queue<'_> {
    fn row(&self, kind: &str) -> KeyWriter {
        let row = row(kind, self.handler, self.generation).text(self.store);
        if self.key.len() <= KEY_MAX {
            row.text(self.key)
        } else {
            row.bytes(digest(&SHA256, self.key.as_bytes()).as_ref())
        }
    }

    pub(super) fn parked_key(&self) -> DocKey {
        DocKey::new(INBOX.name, self.row("parked").finish())
    }

    pub(super) fn letter_key(&self, event: &Event) -> DocKey {
        let (commit, index) = (event.position.commit, u64::from(event.position.index));
        DocKey::new(INBOX.name, self.row("letter").u64(commit).u64(index).finish())
    }

    /// The key's row, with its version.
    pub(super) async fn parked(&self, database: &Database) -> Result<Option<(Position, Parked)>> {
        let doc = database.store.get(&[self.parked_key()]).await?.pop().flatten();
        doc.map(|doc| Ok((doc.version, from_json(&doc.body)?))).transpose()
    }

    /// The first letter, with its place and version.
    pub(super) async fn first(&self, database: &Database) -> Result<Option<(DocKey, Position, Letter)>> {
        let range = IndexRange::ids(INBOX.name).prefix(&self.row("letter").finish()).limit(1);
        let doc = database.store.scan(&range).await?.docs.pop();
        doc.map(|doc| Ok((DocKey::new(INBOX.name, doc.id), doc.version, from_json(&doc.body)?))).transpose()
    }

    /// Replaces the key's row, or removes it.
    pub(super) fn put_parked(&self, work: &mut Work, before: Expect, parked: Option<&Parked>) -> Result<()> {
        let key = self.parked_key();
        work.expect(key.clone(), before);
        work.write(match parked {
            Some(parked) => Write::Put { key, body: to_json(parked)?, entries: Vec::new() },
            None => Write::Delete { key },
        });
        Ok(())
    }
}

fn id_key(id: DeadLetterId) -> DocKey {
    DocKey::new(INBOX.name, KeyWriter::new().text("letter_id").fixed(id.as_bytes()).finish())
}

/// Adds a letter to the queue, with the commit of `work`. With a failure it opens the queue with the
/// given row; without one it joins it: `false` when the queue is gone, and nothing was added.
pub(crate) async fn enqueue(
    queue: &Queue<'_>,
    work: &mut Work,
    event: &Event,
    failure: Option<(&Error, Parked)>,
) -> Result<bool> {
    let now = work.now();
    let (cause, parked, before) = match failure {
        Some((error, parked)) => (Some(Cause::new(error, now)), parked, Expect::Absent),
        None => match queue.parked(work.database()).await? {
            None => return Ok(false),
            Some((version, parked)) => {
                (None, Parked { count: parked.count + 1, ..parked }, Expect::Version(version))
            }
        },
    };
    queue.put_parked(work, before, Some(&parked))?;
    let event_json = serde_json::from_slice(&event.to_json())
        .map_err(|error| Error::internal("event.unwritable", "an event is not JSON").because(error))?;
    let letter = Letter {
        id: work.new_id(),
        store: event.store.to_string(),
        key: event.key.clone(),
        position: event.position,
        event: event_json,
        parked_at: now,
        cause,
    };
    write_letter(work, &queue.letter_key(event), &letter)?;
    Ok(true)
}

pub(super) fn write_letter(work: &mut Work, key: &DocKey, letter: &Letter) -> Result<()> {
    work.write(Write::Put { key: key.clone(), body: to_json(letter)?, entries: Vec::new() });
    let place = to_json(&key.id)?;
    work.write(Write::Put { key: id_key(letter.id), body: place, entries: Vec::new() });
    Ok(())
}

pub(super) fn delete_letter(work: &mut Work, key: DocKey, version: Position, letter: &Letter) {
    work.expect(key.clone(), Expect::Version(version));
    work.write(Write::Delete { key });
    work.write(Write::Delete { key: id_key(letter.id) });
}

/// All keys of a handler that wait.
pub(crate) async fn parked_keys(database: &Database, handler: &str, generation: u64) -> Result<Vec<Parked>> {
    let mut range = IndexRange::ids(INBOX.name)
        .prefix(&row("parked", handler, generation).finish())
        .limit(limits::SCAN_DOCUMENTS);
    let mut found = Vec::new();
    loop {
        let page = database.store.scan(&range).await?;
        for doc in &page.docs {
            found.push(from_json(&doc.body)?);
        }
        match page.next {
            Some(next) => range = range.after(Some(next)),
            None => return Ok(found),
        }
    }
}

/// A page of the letters of a handler: key by key, in the order in which they will be handled.
pub(crate) async fn list(
    database: &Database,
    handler: &'static str,
    generation: u64,
    limit: usize,
    cursor: Option<Cursor>,
) -> Result<Page<DeadLetter>> {
    let prefix = row("letter", handler, generation).finish();
    let range = IndexRange::ids(INBOX.name).prefix(&prefix).limit(limit).after(cursor);
    let page = database.store.scan(&range).await?;
    let mut items = Vec::new();
    for doc in page.docs {
        items.extend(show(database, handler, generation, from_json(&doc.body)?).await?);
    }
    Ok(Page { items, next_cursor: page.next })
}

/// A letter by its id, if it is one of this handler.
pub(crate) async fn find(
    database: &Database,
    handler: &'static str,
    generation: u64,
    id: DeadLetterId,
) -> Result<Option<DeadLetter>> {
    let Some(doc) = database.store.get(&[id_key(id)]).await?.pop().flatten() else { return Ok(None) };
    let place: Vec<u8> = from_json(&doc.body)?;
    if !place.starts_with(&row("letter", handler, generation).finish()) {
        return Ok(None);
    }
    match database.store.get(&[DocKey::new(INBOX.name, place)]).await?.pop().flatten() {
        Some(doc) => show(database, handler, generation, from_json(&doc.body)?).await,
        None => Ok(None),
    }
}

/// The letter as it is shown; `None` when it was handled meanwhile.
async fn show(
    database: &Database,
    handler: &'static str,
    generation: u64,
    letter: Letter,
) -> Result<Option<DeadLetter>> {
    let queue = Queue { handler, generation, store: &letter.store, key: &letter.key };
    let (parked, first) = (queue.parked(database).await?, queue.first(database).await?);
    let (Some((_, parked)), Some((_, _, first))) = (parked, first) else { return Ok(None) };
    let is_first = first.id == letter.id;
    Ok(Some(DeadLetter::new(handler, &parked, letter, is_first)))
}
