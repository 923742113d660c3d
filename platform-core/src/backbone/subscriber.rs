//! Events for who wants to see them without a domain of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::select_all;

use super::Backbone;
use crate::kernel::{BoxFuture, Context, Error, Event, EventPosition, Permission, Result, limits};
use crate::ports::log::{EventLog, Groups, Record, Source, Subscription};

/// May subscribe to the events of all stores.
pub const SUBSCRIBE: Permission = Permission::literal("events:subscribe");

/// An event that was handed out.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The event.
    pub event: Event,
    topic: usize,
    partition: u16,
    offset: u64,
}

/// Hands out events.
///
/// # Behavior
/// - Events of one key come in order; those of different keys and stores in any.
/// - Every event comes at least once. What was handed out and not said to be [`done`](Subscriber::done) comes again to the
///   next subscriber of the name.
/// - Subscribers of one name at the same time share the events among them.
/// - Nothing is read ahead: who does not ask costs nothing.
pub struct Subscriber {
    topics: Vec<Topic>,
    /// Which topic goes first next time, so that none starves.
    turn: usize,
}

struct Topic {
    subscription: Box<dyn Subscription>,
    /// The last event of each partition: a relay that was interrupted may have moved some twice.
    last: BTreeMap<u16, EventPosition>,
}

impl Backbone {
    /// Subscribes to the events of these stores, or of all when none is named. With a `name` it goes on after the last event
    /// that was done under that name, and begins with the oldest that is kept; without one it begins with the next event,
    /// and nothing is remembered.
    ///
    /// # Errors
    /// `auth.…` without [`SUBSCRIBE`]; `events.invalid_name`, `events.unknown_store`; `log.undeclared` before the first
    /// start; `log.unavailable`.
    pub async fn subscribe(
        &self,
        ctx: &Context,
        name: Option<&str>,
        stores: &[String],
    ) -> Result<Subscriber> {
        ctx.require(&SUBSCRIBE)?;
        if name.is_some_and(|name| name.is_empty() || name.len() > limits::NAME_BYTES) {
            return Err(Error::invalid("events.invalid_name", "a name is 1 to 200 bytes"));
        }
        let known: Vec<String> = self.stores().iter().map(|store| store.name().to_owned()).collect();
        if let Some(unknown) = stores.iter().find(|store| !known.contains(store)) {
            return Err(Error::invalid("events.unknown_store", "there is no such store")
                .with("store", unknown)
                .with("stores", known.join(",")));
        }
        let wanted = known.iter().filter(|store| stores.is_empty() || stores.contains(store));
        let mut topics = Vec::new();
        for store in wanted {
            let subscription = match name {
                // The log is an application's, too: its own groups have other names.
                Some(name) => self.backends().log.subscribe(&format!("subscriber.{name}"), store).await?,
                None => from_now(&self.backends().log, store).await?,
            };
            topics.push(Topic { subscription, last: BTreeMap::new() });
        }
        Ok(Subscriber { topics, turn: 0 })
    }
}

impl Subscriber {
    /// The next events, at most `limit`, of one partition of a store; waits until there is one. It may be dropped while it
    /// waits: nothing is lost then.
    ///
    /// # Errors
    /// `log.unavailable`, `log.damaged`, `log.closed`; `event.invalid`.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Delivered>> {
        loop {
            let (topic, records) = self.records(limit).await?;
            let mut delivered = Vec::with_capacity(records.len());
            for record in records {
                let event = Event::from_json(&record.value)?;
                let Some(state) = self.topics.get_mut(topic) else { continue };
                if state.last.get(&record.partition).is_some_and(|last| *last >= event.position) {
                    continue;
                }
                state.last.insert(record.partition, event.position);
                let Record { partition, offset, .. } = record;
                delivered.push(Delivered { event, topic, partition, offset });
            }
            if !delivered.is_empty() {
                return Ok(delivered);
            }
        }
    }

    /// Remembers that this event is done, and all that were handed out before it of the same call of
    /// [`next`](Subscriber::next).
    ///
    /// # Errors
    /// `log.unavailable`.
    pub async fn done(&mut self, upto: &Delivered) -> Result<()> {
        match self.topics.get_mut(upto.topic) {
            Some(topic) => topic.subscription.commit(upto.partition, upto.offset + 1).await,
            None => Ok(()),
        }
    }

    /// Records of the first topic that has some, and its number.
    async fn records(&mut self, limit: usize) -> Result<(usize, Vec<Record>)> {
        self.turn = (self.turn + 1) % self.topics.len().max(1);
        let (later, first) = self.topics.split_at_mut(self.turn);
        let begin = self.turn;
        let first = first.iter_mut().enumerate().map(|(index, topic)| (index + begin, topic));
        let waiting: Vec<_> = first
            .chain(later.iter_mut().enumerate())
            .map(|(index, topic)| topic.subscription.next(limit).map(move |records| (index, records)).boxed())
            .collect();
        if waiting.is_empty() {
            return std::future::pending().await;
        }
        let ((topic, records), ..) = select_all(waiting).await;
        Ok((topic, records?))
    }
}

/// A subscription of nobody else, that begins with the next event.
async fn from_now(log: &Arc<dyn EventLog>, topic: &str) -> Result<Box<dyn Subscription>> {
    let ends = log.bounds(topic).await?.into_iter().map(|(_, end)| end).collect();
    let source = Arc::new(FromNow { log: Arc::clone(log), ends });
    Ok(Groups::default().join(source, "", topic, log.ends(topic)?))
}

struct FromNow {
    log: Arc<dyn EventLog>,
    ends: Vec<u64>,
}

impl Source for FromNow {
    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>> {
        self.log.read(topic, partition, from, limit)
    }

    fn offset<'a>(&'a self, _: &'a str, _: &'a str, partition: u16) -> BoxFuture<'a, Result<u64>> {
        let end = self.ends.get(usize::from(partition)).copied().unwrap_or_default();
        Box::pin(async move { Ok(end) })
    }

    fn set_offset<'a>(&'a self, _: &'a str, _: &'a str, _: u16, _: u64) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
