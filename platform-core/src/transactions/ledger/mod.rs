//! The ledger: double-entry transfers in pages, by one sequencer.
//!
//! In reading order:
//! - what is recorded: [`frame`], [`rejection`];
//! - how it is decided, purely: [`state`], [`draft`], [`page`], [`seal`];
//! - where it is kept: [`storage`], [`tail`] and [`view`] (memory), [`rows`] and [`filter`] (runs);
//! - who does it: [`sequencer`] (the one writer), [`checkpoint`] (its worker), [`load`], [`reader`].

pub mod checkpoint;
pub mod draft;
pub mod filter;
pub mod frame;
pub mod load;
pub mod page;
pub mod reader;
pub mod rejection;
pub mod rows;
pub mod seal;
pub mod sequencer;
pub mod state;
pub mod storage;
pub mod tail;
pub mod view;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::kernel::{Error, Result};
use crate::ports::Database;

use page::{Opening, Outcome, PAGE_FRAMES, Transfers};
use reader::Reader;
use sequencer::{Request, Riders, Sequencer, Settings};
use state::Recorded;
use view::View;

/// Requests that wait for the sequencer; whoever sends one more waits for room.
const QUEUE: usize = 4_096;

/// A ledger: its sequencer's door, and its reader.
#[derive(Clone)]
pub struct Ledger {
    requests: mpsc::Sender<Request>,
    view: Arc<View>,
    reader: Reader,
}

impl Ledger {
    /// Loads the ledger of a store and starts its sequencer.
    ///
    /// # Errors
    /// `store.…`, `ledger.damaged`.
    pub async fn open(db: &Database, settings: Settings) -> Result<Ledger> {
        let loaded = load::load(&db.store).await?;
        let (requests, receiver) = mpsc::channel(QUEUE);
        let (sequencer, view) = Sequencer::new(db.clone(), settings, loaded, receiver);
        db.runtime.spawn("ledger sequencer", Box::pin(sequencer.run()));
        let reader = Reader::new(Arc::clone(&db.store), Arc::clone(&view));
        Ok(Ledger { requests, view, reader })
    }

    /// Records transfers; the outcomes are in their order, and durable.
    ///
    /// # Errors
    /// `ledger.batch_too_large`, `idempotency.key_reused`, `store.…`.
    pub async fn transfer(&self, transfers: Transfers) -> Result<Vec<Outcome>> {
        if transfers.items.len() >= PAGE_FRAMES {
            return Err(Error::limit("ledger.batch_too_large", "a batch has at most 8,190 transfers"));
        }
        let (reply, answer) = oneshot::channel();
        self.send(Request::Transfers(transfers, reply), answer).await
    }

    /// Opens an account, with what rides along in the same commit.
    ///
    /// # Errors
    /// `ledger.account_exists`, `idempotency.key_reused`, `store.…`.
    pub async fn open_account(&self, opening: Opening, riders: Riders) -> Result<Recorded> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Open(Box::new((opening, riders)), reply), answer).await
    }

    /// Reads what was committed.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What is in memory of it.
    pub fn view(&self) -> &View {
        &self.view
    }

    async fn send<T>(&self, request: Request, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        let stopped = || Error::unavailable("ledger.stopped", "the ledger was stopped");
        self.requests.send(request).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

#[cfg(test)]
mod tests;
