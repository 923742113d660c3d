//! A command's view of its store: what it read, what it will write.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Batch, DocKey, Document, Expect, Reply, Stored, Write};
use crate::kernel::{
    Context, Error, Event, EventData, EventId, JsonText, NewEvent, RawId, Result, Sealed, Timestamp,
};
use crate::ports::Database;

/// What one attempt of a command read and decided.
///
/// Every document that is loaded through it becomes an expect of the batch: if one of them changes
/// before the commit, the command is decided anew.
pub struct Work {
    db: Database,
    context: Arc<Context>,
    now: Timestamp,
    generation: u64,
    expects: BTreeMap<DocKey, Expect>,
    writes: Vec<Write>,
    written: BTreeMap<DocKey, usize>,
    events: Vec<NewEvent>,
}

impl Work {
    /// An empty work over a database.
    pub fn new(db: &Database, context: Arc<Context>) -> Work {
        Work {
            now: db.runtime.now(),
            db: db.clone(),
            context,
            generation: 0,
            expects: BTreeMap::new(),
            writes: Vec::new(),
            written: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// The moment of this attempt: the same for everything it writes.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Who asks.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What is published from now on is caused by this event: its request, and its id as the cause.
    /// The id also becomes the context's idempotency key: a command of another domain that is called
    /// with this context happens once per event.
    pub fn caused_by(&mut self, event: &Event) {
        let mut context = Context::clone(&self.context);
        context.correlation_id = event.correlation_id.clone();
        context.causation_id = Some(event.id);
        context.idempotency_key = event.id.to_string().parse().ok();
        self.context = Arc::new(context);
    }

    pub(crate) fn in_generation(mut self, generation: u64) -> Work {
        self.generation = generation;
        self
    }

    /// For a projection: the generation that is written, the first part of all its ids.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The database it works on.
    pub fn database(&self) -> &Database {
        &self.db
    }

    /// A fresh id, ordered by time.
    pub fn new_id<I: From<RawId>>(&self) -> I {
        self.db.new_id()
    }

    /// Loads a document; that it is as it is (or absent) becomes an expect. What this work wrote
    /// before is seen.
    ///
    /// # Errors
    /// `store.unavailable`, `store.damaged`.
    pub async fn load<T: Document>(&mut self, id: impl Into<Vec<u8>> + Send) -> Result<Option<Stored<T>>> {
        let key = T::key(id);
        if let Some(write) = self.written.get(&key).and_then(|at| self.writes.get(*at)) {
            return match write {
                Write::Put { body, .. } => Ok(Some(Stored { version: 0, value: T::from_body(body)? })),
                Write::Delete { .. } => Ok(None),
                Write::Add { .. } => {
                    Err(Error::internal("store.read_of_add", "a counter has no value before its commit"))
                }
            };
        }
        let doc = self.db.store.get(std::slice::from_ref(&key)).await?.pop().flatten();
        self.expects.insert(key, doc.as_ref().map_or(Expect::Absent, |doc| Expect::Version(doc.version)));
        doc.as_ref().map(Stored::from_doc).transpose()
    }

    /// States an expect without loading.
    pub fn expect(&mut self, key: DocKey, expect: Expect) {
        self.expects.insert(key, expect);
    }

    /// Creates or replaces a document. Without a [`Work::load`] of it before, nothing is expected.
    ///
    /// # Errors
    /// `store.unwritable`.
    pub fn put<T: Document>(&mut self, document: &T) -> Result<()> {
        let (key, body, entries) = (T::key(document.id()), document.to_body()?, document.entries());
        self.write(Write::Put { key, body, entries });
        Ok(())
    }

    /// Creates a document that must not exist.
    ///
    /// # Errors
    /// `store.unwritable`.
    pub fn create<T: Document>(&mut self, document: &T) -> Result<()> {
        self.expects.insert(T::key(document.id()), Expect::Absent);
        self.put(document)
    }

    /// Removes a document.
    pub fn delete<T: Document>(&mut self, id: impl Into<Vec<u8>>) {
        self.write(Write::Delete { key: T::key(id) });
    }

    /// Adds a write as it is; a later write of the same document replaces an earlier one.
    pub fn write(&mut self, write: Write) {
        match self.written.get(write.key()).and_then(|at| self.writes.get_mut(*at)) {
            Some(earlier) => *earlier = write,
            None => {
                self.written.insert(write.key().clone(), self.writes.len());
                self.writes.push(write);
            }
        }
    }

    /// Publishes an event with the commit.
    ///
    /// # Errors
    /// `event.unwritable`.
    pub fn publish<E: EventData>(&mut self, event: &E) -> Result<EventId> {
        let data = JsonText::of(event).map_err(|error| {
            Error::internal("event.unwritable", "an event cannot be written as JSON").because(error)
        })?;
        let id = self.new_id();
        self.events.push(NewEvent {
            id,
            event_type: E::TYPE.to_owned(),
            subject: event.subject(),
            key: event.key(),
            time: self.now,
            actor: self.context.principal.actor.clone(),
            correlation_id: self.context.correlation_id.clone(),
            causation_id: self.context.causation_id,
            data,
        });
        Ok(id)
    }

    /// Seals a value under a person's key, bound to `place`: for events and whatever cannot be changed
    /// later.
    ///
    /// # Errors
    /// `keys.…`.
    pub async fn seal_for(
        &self,
        person: &str,
        place: &str,
        value: &(impl Serialize + Sync),
    ) -> Result<Sealed> {
        let text = serde_json::to_vec(value).map_err(|error| {
            Error::internal("keys.unwritable", "a value cannot be written as JSON").because(error)
        })?;
        self.db.keys.seal_for(person, place, &text).await
    }

    /// Ends the attempt with its answer.
    ///
    /// # Errors
    /// None; the result lets it stand at the end of a closure.
    pub fn reply<R>(self, value: R) -> Result<Reply<R>> {
        Ok(Reply { work: self, value })
    }

    /// The batch.
    pub fn into_batch(self) -> Batch {
        let expects = self.expects.into_iter().collect();
        Batch { expects, writes: self.writes, events: self.events, idempotency: None }
    }
}
