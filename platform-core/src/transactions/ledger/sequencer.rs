//! The one writer of a ledger: joins what waits into a page, commits it, and only then answers.
//!
//! While a page is on its way to the disk the next one is made, when enough waits to fill it: over a
//! state that has the former page in it, but answered and shown only after it.

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::{MaybeDone, maybe_done};
use tokio::sync::mpsc;

use crate::kernel::{AccountId, BoxFuture, Context, Error, RawId, Result, limits};
use crate::ports::Database;
use crate::ports::store::{Batch, Commit, CommitError, Document, Expect, Work, Write};
use crate::transactions::events::PageCommitted;

use super::draft::Draft;
use super::frame::Frame;
use super::load::{self, Loaded};
use super::page::{
    Claim, Earlier, FrameClock, Known, PAGE_FRAMES, PageMaker, Transfers, fingerprint_of, repeated,
};
use super::reader::Reader;
use super::request::{Decided, Opened, Request, ids_of};
use super::seal::{SealedPage, seal};
use super::state::{Recorded, State};
use super::storage::{BLOCK_FRAMES, Head, MAIN, damaged};
use super::view::View;
use super::worker::Worker;

/// Accounts that are opened in one page: each has an event.
const OPENINGS: usize = 500;

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Frames in memory after which they are written to runs: a restart replays about so many.
    pub segment_frames: usize,
    /// So many frames must wait for the next page to be made while the former one is on its way. Fewer
    /// wait for what comes with the answers of the former page: then one page holds all of them.
    pub early_frames: usize,
}

impl Default for LedgerConfig {
    fn default() -> LedgerConfig {
        LedgerConfig { segment_frames: 131_072, early_frames: PAGE_FRAMES / 2 }
    }
}

/// A page that is decided.
struct Made {
    draft: Draft,
    decided: Vec<Decided>,
    /// `None` when there is nothing to write.
    page: Option<Page>,
}

/// What is written of a page, and the head after it.
struct Page {
    head: Head,
    batch: Batch,
}

/// A page on its way to the disk.
struct Flying {
    draft: Draft,
    decided: Vec<Decided>,
    head: Head,
    commit: MaybeDone<BoxFuture<'static, Result<Commit, CommitError>>>,
}

/// What is to become of the requests of a page that was not committed.
enum Verdict {
    Applied,
    Again,
    Failed(Error),
}

/// The sequencer.
pub struct Sequencer {
    db: Database,
    config: LedgerConfig,
    requests: mpsc::Receiver<Request>,
    waiting: VecDeque<Request>,
    view: Arc<View>,
    reader: Reader,
    /// Behind the page that was made last, as are `head` and `partial`.
    state: State,
    head: Head,
    partial: Vec<Frame>,
    /// The version of the stored head.
    expect: Expect,
    worker: Worker,
    /// The memory is not what is stored: load before anything else.
    stale: bool,
    conflicts: u32,
}

impl Sequencer {
    /// A sequencer over what was loaded, and the view that it keeps up to date.
    pub fn new(
        db: Database,
        config: LedgerConfig,
        loaded: Loaded,
        requests: mpsc::Receiver<Request>,
    ) -> (Sequencer, Arc<View>) {
        let head = loaded.seen.head.clone();
        let view = Arc::new(View::new(loaded.seen));
        let sequencer = Sequencer {
            reader: Reader::new(Arc::clone(&db.store), Arc::clone(&view)),
            db,
            config,
            requests,
            waiting: VecDeque::new(),
            view: Arc::clone(&view),
            state: loaded.state,
            head,
            expect: loaded.expect,
            partial: loaded.partial,
            worker: Worker::Idle(Some(Box::new(loaded.checkpointer))),
            stale: false,
            conflicts: 0,
        };
        (sequencer, view)
    }

    /// Works until nobody waits and nothing is due.
    pub async fn work(&mut self) {
        let mut flying = None;
        loop {
            self.receive();
            if self.stale
                && let Err(error) = self.reload().await
            {
                self.waiting.drain(..).for_each(|request| request.fail(error.clone()));
                return;
            }
            let early = self.waiting.iter().map(Request::weight).sum::<usize>() >= self.config.early_frames;
            let former: Option<&Draft> = flying.as_ref().map(|page: &Flying| &page.draft);
            let made = match former {
                Some(_) if !early => None,
                former if self.has_work() => Some(self.make(former).await),
                _ => None,
            };
            let landed = match flying.take() {
                Some(page) => self.land(page).await,
                None if made.is_none() => return,
                None => true,
            };
            match made {
                None if !landed => {
                    self.receive();
                    // Nobody waits: what is due besides is tried again in its time, not at once.
                    if self.waiting.is_empty() {
                        return;
                    }
                }
                None => {}
                Some(made) if landed => flying = self.launch(made).await,
                // It was decided over a state that is no more.
                Some(made) => self.again(made.decided),
            }
        }
    }

    /// Waits until no worker writes any more.
    pub async fn rest(&mut self) {
        self.worker.rest().await;
    }

    /// Takes over what was sent, as much as fits a page.
    fn receive(&mut self) {
        let mut weight: usize = self.waiting.iter().map(Request::weight).sum();
        while weight < PAGE_FRAMES {
            let Ok(request) = self.requests.try_recv() else { break };
            weight += request.weight();
            self.waiting.push_back(request);
        }
    }

    fn has_work(&self) -> bool {
        let now = self.db.runtime.now();
        !self.waiting.is_empty() || self.state.next_expiry().is_some_and(|at| at <= now)
    }

    /// What fits one page.
    fn take(&mut self) -> Vec<Request> {
        let mut taken = Vec::new();
        let (mut room, mut openings) = (PAGE_FRAMES, OPENINGS);
        while let Some(request) = self.waiting.front() {
            let opens = usize::from(matches!(request, Request::Open(..)));
            let left = (room.checked_sub(request.weight()), openings.checked_sub(opens));
            let (Some(frames), Some(rest)) = left else { break };
            (room, openings) = (frames, rest);
            taken.extend(self.waiting.pop_front());
        }
        taken
    }

    /// Makes the next page, and closes it.
    async fn make(&mut self, flying: Option<&Draft>) -> Made {
        let taken = self.take();
        let mut requests = self.answer_repeated(taken, flying).await;
        let ids: Vec<RawId> = requests.iter().flat_map(Request::ids).collect();
        let (mut draft, decided) = loop {
            match self.reader.known(ids.iter().copied()).await {
                Err(error) => {
                    requests.drain(..).for_each(|request| request.fail(error.clone()));
                    break (Draft::new(self.head.next), Vec::new());
                }
                Ok(known) => match self.decide(requests, &known, flying) {
                    Ok(decided) => break decided,
                    Err(undecided) => requests = undecided,
                },
            }
        };
        match self.close(&mut draft, &decided) {
            Ok(page) => Made { draft, decided, page },
            Err(error) => {
                self.stale = true;
                decided.into_iter().for_each(|one| one.again().fail(error.clone()));
                Made { draft: Draft::new(self.head.next), decided: Vec::new(), page: None }
            }
        }
    }

    /// Answers requests whose idempotency key is known, and puts back those whose key is in a page that
    /// is not durable yet.
    async fn answer_repeated(&mut self, requests: Vec<Request>, flying: Option<&Draft>) -> Vec<Request> {
        let mut rest = Vec::with_capacity(requests.len());
        let mut keys = BTreeSet::new();
        let mut later = Vec::new();
        for request in requests {
            let Some(claim) = request.claim().cloned() else {
                rest.push(request);
                continue;
            };
            let flies = flying.is_some_and(|page| page.key(claim.key).is_some());
            match self.fresh_key(&claim).await {
                Err(error) => request.fail(error),
                Ok(Some(key)) if fingerprint_of(&key.frame) != claim.fingerprint => {
                    request.fail(CommitError::KeyReused.into());
                }
                Ok(Some(key)) => self.repeat(request, key).await,
                Ok(None) if !flies && keys.insert(claim.key) => rest.push(request),
                Ok(None) => later.push(request),
            }
        }
        later.into_iter().rev().for_each(|request| self.waiting.push_front(request));
        rest
    }

    /// The frame of a key that still answers.
    async fn fresh_key(&self, claim: &Claim) -> Result<Option<Recorded>> {
        let now = self.db.runtime.now();
        let found = self.reader.key(claim.key).await?;
        Ok(found.filter(|key| key.frame.time.plus(limits::IDEMPOTENCY_LIFETIME) > now))
    }

    /// Answers a request as it was answered the first time.
    async fn repeat(&self, request: Request, key: Recorded) {
        let first = key.frame.reference;
        let frames = self.reader.stretch(first, first + u64::from(key.frame.count)).await;
        match (request, frames) {
            (request, Err(error)) => request.fail(error),
            (Request::Open(_, reply), Ok(frames)) => {
                let opened = frames.first().map(|opened| AccountId(opened.frame.id));
                drop(reply.send(opened.ok_or_else(|| damaged("account frame"))));
            }
            (Request::Transfers(transfers, reply), Ok(frames)) => {
                drop(reply.send(self.repeated(&transfers, &key, &frames).await));
            }
        }
    }

    async fn repeated(
        &self,
        transfers: &Transfers,
        key: &Recorded,
        frames: &[Recorded],
    ) -> Result<Vec<super::page::Outcome>> {
        loop {
            let known = self.reader.known(ids_of(&transfers.items)).await?;
            let seen = self.view.read();
            if known.is_of(&seen.runs) {
                let earlier = Earlier { flying: None, tail: &seen.tail, known: &known };
                return Ok(repeated(&self.state, transfers, &key.frame, frames, earlier));
            }
        }
    }

    /// Decides over the requests; gives them back when what is known does not go with the view any more,
    /// because the worker has just moved frames from the tail to a run.
    #[allow(clippy::type_complexity)]
    fn decide(
        &mut self,
        requests: Vec<Request>,
        known: &Known,
        flying: Option<&Draft>,
    ) -> Result<(Draft, Vec<Decided>), Vec<Request>> {
        let seen = self.view.read();
        if !known.is_of(&seen.runs) {
            return Err(requests);
        }
        let mut draft = Draft::new(self.head.next);
        draft.reserve(requests.iter().map(Request::weight).sum::<usize>().min(PAGE_FRAMES));
        let mut clock = FrameClock::new(self.head.time, self.db.runtime.now());
        let earlier = Earlier { flying, tail: &seen.tail, known };
        let mut maker = PageMaker { state: &mut self.state, draft: &mut draft, clock: &mut clock };
        let mut open = maker.expire();
        let mut decided = Vec::with_capacity(requests.len());
        let mut later = Vec::new();
        for request in requests {
            open = open && maker.draft.frames().len() + request.weight() <= PAGE_FRAMES;
            match request {
                request if !open => later.push(request),
                Request::Transfers(transfers, reply) => {
                    let outcomes = maker.transfers(&transfers, earlier);
                    decided.push(Decided::Transfers(transfers, reply, outcomes));
                }
                Request::Open(opening, reply) => {
                    let opened = match maker.state.ordinal(opening.0.id) {
                        // Nobody else has an id that was made for this request.
                        Some(_) => Ok(Opened::Before),
                        None => maker.open(&opening.0).map(|_| Opened::Now).ok_or_else(too_many_accounts),
                    };
                    decided.push(Decided::Open(opening, reply, opened));
                }
            }
        }
        later.into_iter().rev().for_each(|request| self.waiting.push_front(request));
        Ok((draft, decided))
    }

    /// Closes a page: its blocks, its root, its event. `None` when it is empty.
    fn close(&mut self, draft: &mut Draft, decided: &[Decided]) -> Result<Option<Page>> {
        let Some(sealed) = seal(draft, &self.partial, &self.head) else { return Ok(None) };
        let SealedPage { mut writes, root, head } = sealed;
        let event = PageCommitted {
            ledger: MAIN.to_owned(),
            page: head.page,
            first: draft.first(),
            end: draft.next(),
            root,
            hash: head.hash,
        };
        let mut work = Work::new(&self.db, Arc::new(Context::system()));
        work.publish(&event)?;
        let body = head.to_body()?;
        let mut events = work.into_batch().events;
        writes.push(Write::Put { key: Head::key(MAIN), body, entries: Vec::new() });
        for one in decided {
            if let Decided::Open(opening, _, Ok(Opened::Now)) = one {
                writes.extend_from_slice(&opening.1.writes);
                events.extend_from_slice(&opening.1.events);
            }
        }
        let kept = (head.next % BLOCK_FRAMES) as usize;
        self.partial.extend_from_slice(draft.frames());
        let surplus = self.partial.len().saturating_sub(kept);
        self.partial.drain(..surplus);
        self.head = head.clone();
        Ok(Some(Page { head, batch: Batch { expects: Vec::new(), writes, events, idempotency: None } }))
    }

    /// Sends a page to the store. What needs no commit is told at once: everything before is durable.
    async fn launch(&mut self, made: Made) -> Option<Flying> {
        let Made { draft, decided, page } = made;
        let Some(Page { head, mut batch }) = page else {
            decided.into_iter().for_each(Decided::tell);
            return None;
        };
        batch.expects.push((Head::key(MAIN), self.expect));
        let store = Arc::clone(&self.db.store);
        let commit: BoxFuture<'static, _> = Box::pin(async move { store.commit(batch).await });
        let mut commit = maybe_done(commit);
        // The first poll hands the batch to the store's writer.
        poll_fn(|context| {
            let _ = Pin::new(&mut commit).poll(context);
            Poll::Ready(())
        })
        .await;
        Some(Flying { draft, decided, head, commit })
    }

    /// Waits until a page is durable, shows it, and answers. `false`: the ledger was loaded anew.
    async fn land(&mut self, mut page: Flying) -> bool {
        Pin::new(&mut page.commit).await;
        let commit = Pin::new(&mut page.commit).take_output();
        let lost = || {
            Err(CommitError::Unavailable { maybe_applied: true, cause: damaged("commit without an answer") })
        };
        let verdict = match commit.unwrap_or_else(lost) {
            Ok(commit) => {
                self.expect = Expect::Version(commit.position);
                self.conflicts = 0;
                self.view.write().publish(&page.draft, &page.head, self.state.next_expiry());
                page.decided.into_iter().for_each(Decided::tell);
                self.checkpoint();
                return !self.stale;
            }
            Err(error) => self.recover(error, &page.head).await,
        };
        match verdict {
            Verdict::Applied => page.decided.into_iter().for_each(Decided::tell),
            Verdict::Again => self.again(page.decided),
            Verdict::Failed(error) => {
                page.decided.into_iter().for_each(|one| one.again().fail(error.clone()))
            }
        }
        false
    }

    /// Puts requests back, to be decided anew.
    fn again(&mut self, decided: Vec<Decided>) {
        decided.into_iter().rev().for_each(|one| self.waiting.push_front(one.again()));
    }

    /// After a failed commit: drops the memory, loads what is stored, and tells what became of the page.
    async fn recover(&mut self, error: CommitError, head: &Head) -> Verdict {
        tracing::warn!(%error, page = head.page, "a page was not committed; the ledger is loaded anew");
        self.stale = true;
        let maybe_applied = matches!(error, CommitError::Unavailable { maybe_applied: true, .. });
        let again = maybe_applied || matches!(error, CommitError::Conflict { .. });
        self.conflicts += 1;
        if !again || self.conflicts > limits::COMMAND_ATTEMPTS {
            return Verdict::Failed(error.into());
        }
        match self.reload().await {
            Err(error) => Verdict::Failed(error),
            // The hash covers every frame: it is this page that is stored, and not another one.
            Ok(()) if maybe_applied && self.head.hash == head.hash => Verdict::Applied,
            Ok(()) => Verdict::Again,
        }
    }

    async fn reload(&mut self) -> Result<()> {
        self.worker.rest().await;
        self.worker = Worker::Idle(None);
        let loaded = load::load(&self.db.store).await?;
        self.head = loaded.seen.head.clone();
        *self.view.write() = loaded.seen;
        self.state = loaded.state;
        self.expect = loaded.expect;
        self.partial = loaded.partial;
        self.worker = Worker::Idle(Some(Box::new(loaded.checkpointer)));
        self.stale = false;
        Ok(())
    }

    /// Loads what is stored, when somebody else has written a page.
    ///
    /// # Errors
    /// `store.…`, `ledger.damaged`.
    pub async fn follow(&mut self) -> Result<()> {
        let stored = self.db.store.get(&[Head::key(MAIN)]).await?.pop().flatten();
        let is = stored.map_or(Expect::Absent, |head| Expect::Version(head.version));
        if is == self.expect && !self.stale { Ok(()) } else { self.reload().await }
    }

    /// Has a full segment written to runs.
    fn checkpoint(&mut self) {
        let full = self.view.read().tail.active().frames().len() >= self.config.segment_frames;
        if full && self.worker.is_idle() {
            self.stale = self.worker.is_overtaken();
            self.worker.write(&self.db, &self.view);
        }
    }
}

fn too_many_accounts() -> Error {
    Error::limit("ledger.too_many_accounts", "a ledger has at most 4,294,967,295 accounts")
}
