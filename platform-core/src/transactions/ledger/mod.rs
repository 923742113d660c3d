//! The ledger: double-entry transfers in pages, by one sequencer.
//!
//! In reading order:
//! - what is recorded: [`frame`], [`rejection`];
//! - how it is decided, purely: [`state`], [`draft`], [`page`], [`seal`];
//! - where it is kept: [`storage`], [`blocks`], [`tail`] and [`view`] (memory), [`rows`] and [`filter`] (runs);
//! - who does it: [`sequencer`] (the one writer) and its [`request`]s, [`checkpoint`] (its worker), [`load`],
//!   [`reader`].

pub mod blocks;
pub mod checkpoint;
pub mod draft;
pub mod filter;
pub mod frame;
pub mod load;
pub mod page;
pub mod reader;
pub mod rejection;
pub mod request;
pub mod rows;
pub mod seal;
pub mod sequencer;
pub mod state;
pub mod storage;
pub mod tail;
pub mod view;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::{Mutex, RwLock, mpsc, oneshot};

use crate::backbone::{Shutdown, Task, Wake};
use crate::kernel::{AccountId, Error, Result};
use crate::ports::Database;
use crate::ports::runtime::Runtime;

use page::{Opening, Outcome, PAGE_FRAMES, Transfers};
use reader::Reader;
use request::{Request, Riders};
use sequencer::{LedgerConfig, Sequencer};
use view::View;

/// Requests that wait for the sequencer; whoever sends one more waits for room.
const QUEUE: usize = 4_096;

/// Longest sleep until a pending transfer expires: a clock that jumps forward is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Between two looks at what other nodes have recorded: each reads the head, and loads the ledger when it has moved.
const FOLLOW: Duration = Duration::from_millis(20);

/// When an expiry that did not succeed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A ledger: its sequencer's door, and its reader. Cloning is cheap.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    requests: mpsc::Sender<Request>,
    sequencer: Mutex<Sequencer>,
    /// How often the sequencer was called since it began to work; 0: it rests, and no task runs.
    called: AtomicUsize,
    /// Read by every task of the sequencer until it holds nothing of the ledger any more.
    running: Arc<RwLock<()>>,
    runtime: Arc<dyn Runtime>,
    wake: Wake,
    view: Arc<View>,
    reader: Reader,
}

impl Ledger {
    /// Loads the ledger of a store.
    ///
    /// # Errors
    /// `store.…`, `ledger.damaged`.
    pub async fn open(db: &Database, config: LedgerConfig) -> Result<Ledger> {
        let loaded = load::load(&db.store).await?;
        let (requests, receiver) = mpsc::channel(QUEUE);
        let (sequencer, view) = Sequencer::new(db.clone(), config, loaded, receiver);
        let reader = Reader::new(Arc::clone(&db.store), Arc::clone(&view));
        Ok(Ledger(Arc::new(Inner {
            requests,
            sequencer: Mutex::new(sequencer),
            called: AtomicUsize::new(0),
            running: Arc::default(),
            runtime: Arc::clone(&db.runtime),
            wake: Wake::default(),
            view,
            reader,
        })))
    }

    /// The worker that lets pending transfers expire in their time. Without it they expire before the
    /// next frame. When it ends, nothing of the ledger runs any more.
    pub fn task(&self) -> Task {
        let ledger = self.clone();
        Task::new("ledger expiry", move |shutdown| {
            let ledger = ledger.clone();
            Box::pin(async move { ledger.expire(shutdown).await })
        })
    }

    /// The worker that brings what other nodes record: without it, it is seen here with the next page of this node.
    pub fn follower(&self) -> Task {
        let ledger = self.clone();
        Task::new("ledger follower", move |shutdown| {
            let ledger = ledger.clone();
            Box::pin(async move { ledger.follow(shutdown).await })
        })
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

    /// Opens an account under an id that was made for this request, with what rides along in the same
    /// commit. Answers the id; under a key that was used before, that of the account of then.
    ///
    /// # Errors
    /// `ledger.too_many_accounts`, `idempotency.key_reused`, `store.…`.
    pub async fn open_account(&self, opening: Opening, riders: Riders) -> Result<AccountId> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Open(Box::new((opening, riders)), reply), answer).await
    }

    /// Reads what was committed.
    pub fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// What is in memory of it.
    pub fn view(&self) -> &View {
        &self.0.view
    }

    async fn send<T>(&self, request: Request, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        let stopped = || Error::unavailable("ledger.stopped", "the ledger was stopped");
        self.0.requests.send(request).await.map_err(|_| stopped())?;
        self.call();
        answer.await.map_err(|_| stopped())?
    }

    /// Lets the sequencer look for work. It runs as a task only as long as there is some.
    fn call(&self) {
        if self.0.called.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let (ledger, running) = (self.clone(), Arc::clone(&self.0.running));
        let work = async move {
            let running = running.read_owned().await;
            ledger.work().await;
            drop(running);
        };
        self.0.runtime.spawn("ledger sequencer", Box::pin(work));
    }

    async fn work(self) {
        let mut sequencer = self.0.sequencer.lock().await;
        let before = self.0.view.read().next_expiry;
        let mut called = self.0.called.load(Ordering::Acquire);
        loop {
            sequencer.work().await;
            match self.0.called.compare_exchange(called, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                // Called meanwhile: what was sent may have come after the last look.
                Err(now) => called = now,
            }
        }
        drop(sequencer);
        if self.0.view.read().next_expiry != before {
            self.0.wake.wake();
        }
    }

    async fn follow(&self, shutdown: Shutdown) {
        let mut committed = self.0.reader.committed();
        // What came between the loading and now.
        committed.mark_changed();
        while let Some(Ok(())) = shutdown.unless_asked(committed.changed()).await {
            let followed = self.0.sequencer.lock().await.follow().await;
            let pause = match followed {
                Ok(()) => FOLLOW,
                Err(error) => {
                    tracing::warn!(%error, "what other nodes recorded could not be read; it is tried again");
                    committed.mark_changed();
                    RETRY
                }
            };
            shutdown.sleep(&*self.0.runtime, pause).await;
        }
    }

    async fn expire(&self, shutdown: Shutdown) {
        while !shutdown.is_asked() {
            let next = self.0.view.read().next_expiry;
            let left = next.map(|at| at.since(self.0.runtime.now()).min(LONGEST_SLEEP));
            let woken = std::pin::pin!(self.0.wake.woken());
            match left {
                None => drop(shutdown.unless_asked(woken).await),
                Some(Duration::ZERO) => {
                    self.call();
                    shutdown.unless_asked(select(woken, self.0.runtime.sleep(RETRY))).await;
                }
                Some(left) => drop(shutdown.unless_asked(select(woken, self.0.runtime.sleep(left))).await),
            }
        }
        self.0.sequencer.lock().await.rest().await;
        drop(self.0.running.write().await);
    }
}

#[cfg(test)]
mod tests;
