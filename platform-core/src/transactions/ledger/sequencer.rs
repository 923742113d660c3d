//! The one writer of a ledger: joins what waits into a page, commits it, and only then answers.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::kernel::{Context, Error, NewEvent, RawId, Result, limits};
use crate::ports::Database;
use crate::ports::store::{Batch, CommitError, Document, Expect, Store, Work, Write};
use crate::transactions::events::PageCommitted;

use super::checkpoint::Checkpointer;
use super::draft::Draft;
use super::frame::Frame;
use super::load::{self, Loaded};
use super::page::{
    Claim, Earlier, FrameClock, Known, Opening, Outcome, PAGE_FRAMES, PageMaker, Transfers, fingerprint_of,
    repeated,
};
use super::reader::Reader;
use super::seal::{SealedPage, seal};
use super::state::{Action, NewTransfer, Recorded, State};
use super::storage::{BLOCK_FRAMES, Head, MAIN, damaged};
use super::view::View;

/// Accounts that are opened in one page: each has an event.
const OPENINGS: usize = 500;

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Frames in memory after which they are written to runs: a restart replays about so many.
    pub segment_frames: usize,
}

impl Default for LedgerConfig {
    fn default() -> LedgerConfig {
        LedgerConfig { segment_frames: 131_072 }
    }
}

/// What rides along in the same commit: documents and events of a command that opens an account.
#[derive(Debug, Default)]
pub struct Riders {
    /// Documents.
    pub writes: Vec<Write>,
    /// Events.
    pub events: Vec<NewEvent>,
}

/// What the sequencer is asked for.
pub enum Request {
    /// Transfers.
    Transfers(Transfers, oneshot::Sender<Result<Vec<Outcome>>>),
    /// A new account: its frame.
    Open(Box<(Opening, Riders)>, oneshot::Sender<Result<Recorded>>),
}

impl Request {
    /// Frames that it needs at most.
    fn weight(&self) -> usize {
        match self {
            Request::Transfers(transfers, _) => transfers.items.len() + 1,
            Request::Open(..) => 2,
        }
    }

    fn claim(&self) -> Option<&Claim> {
        match self {
            Request::Transfers(transfers, _) => transfers.claim.as_ref(),
            Request::Open(opening, _) => opening.0.claim.as_ref(),
        }
    }

    fn fail(self, error: Error) {
        // Nobody waits any more when the caller gave up.
        match self {
            Request::Transfers(_, reply) => drop(reply.send(Err(error))),
            Request::Open(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

/// What was decided over a request; told when its page is durable.
enum Decided {
    Transfers(Transfers, oneshot::Sender<Result<Vec<Outcome>>>, Vec<Outcome>),
    Open(Box<(Opening, Riders)>, oneshot::Sender<Result<Recorded>>, Result<Recorded>),
}

impl Decided {
    fn tell(self) {
        match self {
            Decided::Transfers(_, reply, outcomes) => drop(reply.send(Ok(outcomes))),
            Decided::Open(_, reply, answer) => drop(reply.send(answer)),
        }
    }

    fn again(self) -> Request {
        match self {
            Decided::Transfers(transfers, reply, _) => Request::Transfers(transfers, reply),
            Decided::Open(opening, reply, _) => Request::Open(opening, reply),
        }
    }
}

/// What is to become of the requests of a page that was not committed.
enum Verdict {
    Applied,
    Again,
    Failed(Error),
}

/// Who writes full segments to runs.
enum Worker {
    Idle(Option<Box<Checkpointer>>),
    Busy(oneshot::Receiver<Option<Box<Checkpointer>>>),
}

/// The sequencer's task.
pub struct Sequencer {
    db: Database,
    config: LedgerConfig,
    requests: mpsc::Receiver<Request>,
    waiting: VecDeque<Request>,
    view: Arc<View>,
    reader: Reader,
    state: State,
    head: Head,
    expect: Expect,
    partial: Vec<Frame>,
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
        while let Some(requests) = self.gather() {
            self.page(requests).await;
        }
        self.checkpoint();
    }

    /// Waits until no worker writes any more.
    pub async fn rest(&mut self) {
        if let Worker::Busy(done) = &mut self.worker {
            self.worker = Worker::Idle(done.await.unwrap_or_default());
        }
    }

    /// Takes what fits one page; `None` when there is nothing to do.
    fn gather(&mut self) -> Option<Vec<Request>> {
        let mut weight: usize = self.waiting.iter().map(Request::weight).sum();
        while weight < PAGE_FRAMES {
            let Ok(request) = self.requests.try_recv() else { break };
            weight += request.weight();
            self.waiting.push_back(request);
        }
        let mut taken = Vec::new();
        let (mut room, mut openings) = (PAGE_FRAMES, OPENINGS);
        while let Some(request) = self.waiting.front() {
            let opens = usize::from(matches!(request, Request::Open(..)));
            let left = (room.checked_sub(request.weight()), openings.checked_sub(opens));
            let (Some(frames), Some(rest)) = left else { break };
            (room, openings) = (frames, rest);
            taken.extend(self.waiting.pop_front());
        }
        let due = self.state.next_expiry().is_some_and(|at| at <= self.db.runtime.now()) && !self.stale;
        (due || !taken.is_empty()).then_some(taken)
    }

    /// Makes and commits one page. What could not be committed is decided anew, or told.
    async fn page(&mut self, requests: Vec<Request>) {
        if self.stale
            && let Err(error) = self.reload().await
        {
            return requests.into_iter().for_each(|request| request.fail(error.clone()));
        }
        let requests = self.answer_repeated(requests).await;
        let ids: Vec<RawId> = requests.iter().flat_map(|request| self.ids_to_look_up(request)).collect();
        let known = match self.reader.known(ids).await {
            Ok(known) => known,
            Err(error) => return requests.into_iter().for_each(|request| request.fail(error.clone())),
        };
        let (mut draft, decided) = self.make(requests, &known);
        let verdict = match self.commit(&mut draft, &decided).await {
            Ok(()) => Verdict::Applied,
            Err((error, head)) => self.recover(error, &head).await,
        };
        match verdict {
            Verdict::Applied => decided.into_iter().for_each(Decided::tell),
            Verdict::Again => decided.into_iter().rev().for_each(|one| self.waiting.push_front(one.again())),
            Verdict::Failed(error) => decided.into_iter().for_each(|one| one.again().fail(error.clone())),
        }
        self.checkpoint();
    }

    /// Answers requests whose idempotency key is known, and puts back those whose key is in this page.
    async fn answer_repeated(&mut self, requests: Vec<Request>) -> Vec<Request> {
        let mut rest = Vec::with_capacity(requests.len());
        let mut keys = BTreeSet::new();
        let mut later = Vec::new();
        for request in requests {
            let Some(claim) = request.claim().cloned() else {
                rest.push(request);
                continue;
            };
            match self.fresh_key(&claim).await {
                Err(error) => request.fail(error),
                Ok(Some(key)) if fingerprint_of(&key.frame) != claim.fingerprint => {
                    request.fail(CommitError::KeyReused.into());
                }
                Ok(Some(key)) => self.repeat(request, key).await,
                Ok(None) if keys.insert(claim.key) => rest.push(request),
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
        match request {
            Request::Open(_, reply) => {
                let opened =
                    frames.and_then(|frames| frames.first().copied().ok_or_else(|| damaged("account frame")));
                drop(reply.send(opened));
            }
            Request::Transfers(transfers, reply) => {
                let known = self.reader.known(ids_of(&transfers.items)).await;
                let answer = frames.and_then(|frames| {
                    let (known, seen) = (known?, self.view.read());
                    let earlier = Earlier { flying: None, tail: &seen.tail, known: &known };
                    Ok(repeated(&self.state, &transfers, &key.frame, &frames, earlier))
                });
                drop(reply.send(answer));
            }
        }
    }

    /// The ids of which it must be known whether they were used.
    fn ids_to_look_up(&self, request: &Request) -> Vec<RawId> {
        match request {
            Request::Open(..) => Vec::new(),
            Request::Transfers(transfers, _) => ids_of(&transfers.items).collect(),
        }
    }

    fn make(&mut self, requests: Vec<Request>, known: &Known) -> (Draft, Vec<Decided>) {
        let mut draft = Draft::new(self.head.next);
        let mut clock = FrameClock::new(self.head.time, self.db.runtime.now());
        let seen = self.view.read();
        let earlier = Earlier { flying: None, tail: &seen.tail, known };
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
                    let opened = maker.open(&opening.0).ok_or_else(account_exists);
                    decided.push(Decided::Open(opening, reply, opened));
                }
            }
        }
        later.into_iter().rev().for_each(|request| self.waiting.push_front(request));
        (draft, decided)
    }

    /// Commits a page and shows it. The error comes with the head that the page would have made.
    async fn commit(&mut self, draft: &mut Draft, decided: &[Decided]) -> Result<(), (CommitError, Head)> {
        let Some(page) = seal(draft, &self.partial, &self.head) else { return Ok(()) };
        let SealedPage { writes, root, head } = page;
        let event = PageCommitted {
            ledger: MAIN.to_owned(),
            page: head.page,
            first: draft.first(),
            end: draft.next(),
            root,
            hash: head.hash,
        };
        let commit = match self.batch(writes, &event, &head, decided) {
            Ok(batch) => self.db.store.commit(batch).await,
            Err(error) => Err(CommitError::Invalid(error)),
        };
        match commit {
            Err(error) => Err((error, head)),
            Ok(commit) => {
                self.expect = Expect::Version(commit.position);
                let kept = (head.next % BLOCK_FRAMES) as usize;
                self.partial.extend_from_slice(draft.frames());
                let surplus = self.partial.len().saturating_sub(kept);
                self.partial.drain(..surplus);
                self.view.write().publish(draft, &head, self.state.next_expiry());
                self.head = head;
                self.conflicts = 0;
                Ok(())
            }
        }
    }

    fn batch(
        &self,
        mut writes: Vec<Write>,
        event: &PageCommitted,
        head: &Head,
        decided: &[Decided],
    ) -> Result<Batch> {
        let mut work = Work::new(&self.db, Arc::new(Context::system()));
        work.publish(event)?;
        let mut events = work.into_batch().events;
        let key = Head::key(MAIN);
        writes.push(Write::Put { key: key.clone(), body: head.to_body()?, entries: Vec::new() });
        for one in decided {
            if let Decided::Open(opening, _, Ok(_)) = one {
                writes.extend_from_slice(&opening.1.writes);
                events.extend_from_slice(&opening.1.events);
            }
        }
        Ok(Batch { expects: vec![(key, self.expect)], writes, events, idempotency: None })
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
        if let Worker::Busy(done) = &mut self.worker {
            drop(done.await);
        }
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

    /// Hands a full segment to a worker that writes it to runs.
    fn checkpoint(&mut self) {
        if let Worker::Busy(done) = &mut self.worker {
            match done.try_recv() {
                Ok(checkpointer) => self.worker = Worker::Idle(checkpointer),
                Err(oneshot::error::TryRecvError::Empty) => return,
                Err(oneshot::error::TryRecvError::Closed) => self.worker = Worker::Idle(None),
            }
        }
        let full = self.view.read().tail.active().frames().len() >= self.config.segment_frames;
        let Worker::Idle(checkpointer) = &mut self.worker else { return };
        if !full || self.stale {
            return;
        }
        let checkpointer = checkpointer.take();
        self.view.write().tail.seal();
        let (sender, receiver) = oneshot::channel();
        let (store, view) = (Arc::clone(&self.db.store), Arc::clone(&self.view));
        self.db.runtime.spawn(
            "ledger checkpoint",
            Box::pin(async move {
                let written = write_sealed(&store, &view, checkpointer).await;
                if let Err(error) = &written {
                    tracing::warn!(%error, "a checkpoint of the ledger was not written; it is tried again later");
                }
                drop(sender.send(written.ok()));
            }),
        );
        self.worker = Worker::Busy(receiver);
    }
}

/// Writes every sealed segment, oldest first.
async fn write_sealed(
    store: &Arc<dyn Store>,
    view: &View,
    checkpointer: Option<Box<Checkpointer>>,
) -> Result<Box<Checkpointer>> {
    let mut checkpointer = match checkpointer {
        Some(checkpointer) => checkpointer,
        None => Box::new(load::load_checkpoint(store).await?),
    };
    loop {
        let Some(segment) = view.read().tail.oldest_sealed() else { return Ok(checkpointer) };
        let pair = checkpointer.write(&segment).await?;
        let mut seen = view.write();
        let mut runs = seen.runs.to_vec();
        runs.push(Arc::new(pair));
        seen.runs = Arc::new(runs);
        seen.tail.drop_below(segment.end());
    }
}

/// The ids that transfers bear or name.
fn ids_of(items: &[NewTransfer]) -> impl Iterator<Item = RawId> {
    items.iter().flat_map(|new| {
        let named = match new.action {
            Action::Post { pending, .. } | Action::Void { pending } => Some(pending.0),
            _ => None,
        };
        std::iter::once(new.id.0).chain(named)
    })
}

fn account_exists() -> Error {
    Error::already_exists("ledger.account_exists", "there is an account with this id")
}
