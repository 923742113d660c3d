//! Making a page: requests become frames.
//!
//! Pure: nothing is read or written here. What is needed from the past was fetched before ([`Known`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::kernel::{AccountId, Amount, Balance, RawId, Timestamp, TransferId};

use super::draft::Draft;
use super::frame::{AssetCode, Balances, Frame, Kind};
use super::rejection::Rejection;
use super::state::{Action, Decision, History, NewTransfer, Recorded, State};
use super::tail::Tail;
use super::view::RunPair;

/// Frames of one page at most: a full batch of transfers, and a frame for its idempotency key.
pub const PAGE_FRAMES: usize = 8_192;

/// An idempotency key, as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// A hash of caller, operation and key.
    pub key: RawId,
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
    /// Per transfer: its id was made for it, so a repetition of the request bears another one.
    pub made_ids: Vec<bool>,
}

/// Transfers that are sent together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transfers {
    /// The transfers, in their order.
    pub items: Vec<NewTransfer>,
    /// All or none of them.
    pub linked: bool,
    /// The idempotency key.
    pub claim: Option<Claim>,
}

/// An account that is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Its id.
    pub id: AccountId,
    /// What it counts.
    pub asset: AssetCode,
    /// The least it may hold.
    pub floor: Option<Balance>,
    /// The idempotency key.
    pub claim: Option<Claim>,
}

/// What became of one transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was recorded now.
    Created(Recorded),
    /// It was recorded before, with the same fields.
    Exists(Recorded),
    /// It was refused.
    Rejected(Rejection),
}

/// What the runs say of ids that may be in them.
#[derive(Debug, Default)]
pub struct Known {
    /// The runs that were asked.
    runs: Arc<Vec<Arc<RunPair>>>,
    created: BTreeMap<RawId, Recorded>,
    resolved: BTreeMap<RawId, Recorded>,
    keys: BTreeMap<RawId, Recorded>,
}

impl Known {
    /// Nothing yet, of these runs.
    pub fn of(runs: Arc<Vec<Arc<RunPair>>>) -> Known {
        Known { runs, ..Known::default() }
    }

    /// Whether these are the runs that were asked: otherwise frames may have moved from the tail to a
    /// run meanwhile, and are in neither.
    pub fn is_of(&self, runs: &Arc<Vec<Arc<RunPair>>>) -> bool {
        Arc::ptr_eq(&self.runs, runs)
    }

    /// Adds a frame that was found under an id.
    pub fn insert(&mut self, id: RawId, found: Recorded) {
        let map = match found.frame.kind {
            Kind::Key => &mut self.keys,
            _ if found.frame.id == id => &mut self.created,
            _ => &mut self.resolved,
        };
        let place = map.entry(id).or_insert(found);
        if place.number < found.number {
            *place = found;
        }
    }

    /// The frame that has this id as its own.
    pub fn created(&self, id: TransferId) -> Option<Recorded> {
        self.created.get(&id.0).copied()
    }

    /// The frame that ended this pending transfer.
    pub fn resolved(&self, id: TransferId) -> Option<Recorded> {
        self.resolved.get(&id.0).copied()
    }

    /// The newest frame of this idempotency key.
    pub fn key(&self, id: RawId) -> Option<Recorded> {
        self.keys.get(&id).copied()
    }
}

/// Everything before the page.
#[derive(Clone, Copy)]
pub struct Earlier<'a> {
    /// The page that is being committed.
    pub flying: Option<&'a Draft>,
    /// The newest committed frames.
    pub tail: &'a Tail,
    /// What was found in the runs.
    pub known: &'a Known,
}

struct Past<'a> {
    draft: &'a Draft,
    earlier: Earlier<'a>,
}

impl History for Past<'_> {
    fn created(&self, id: TransferId) -> Option<Recorded> {
        let flying = || self.earlier.flying.and_then(|page| page.created(id));
        self.draft
            .created(id)
            .or_else(flying)
            .or_else(|| self.earlier.tail.created(id))
            .or_else(|| self.earlier.known.created(id))
    }

    fn resolved(&self, id: TransferId) -> Option<Recorded> {
        let flying = || self.earlier.flying.and_then(|page| page.resolved(id));
        self.draft
            .resolved(id)
            .or_else(flying)
            .or_else(|| self.earlier.tail.resolved(id))
            .or_else(|| self.earlier.known.resolved(id))
    }
}

/// Gives every frame a time of its own.
#[derive(Debug, Clone, Copy)]
pub struct FrameClock {
    now: Timestamp,
    last: Timestamp,
}

impl FrameClock {
    /// After a frame at `last`, by a wall clock that says `now` and may have gone back.
    pub fn new(last: Timestamp, now: Timestamp) -> FrameClock {
        FrameClock { now, last }
    }

    /// The time of the frame that was made last.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// The time that the next frame would have.
    pub fn peek(&self) -> Timestamp {
        self.now.max(self.last.plus(Duration::from_micros(1)))
    }

    fn tick(&mut self) -> Timestamp {
        self.last = self.peek();
        self.last
    }
}

/// Makes a page.
pub struct PageMaker<'a> {
    /// Accounts and open pending transfers.
    pub state: &'a mut State,
    /// The page.
    pub draft: &'a mut Draft,
    /// Times of frames.
    pub clock: &'a mut FrameClock,
}

impl PageMaker<'_> {
    /// Releases pending transfers whose time is over, at most as many as fit; `true` when none is left.
    pub fn expire(&mut self) -> bool {
        while self.draft.frames().len() < PAGE_FRAMES {
            let Some((id, mut frame)) = self.state.expire(self.clock.peek()) else { return true };
            frame.time = self.clock.tick();
            self.draft.push(frame, Some(id));
        }
        self.state.next_expiry().is_none_or(|at| at > self.clock.peek())
    }

    /// Opens an account; `None` when its id is taken.
    pub fn open(&mut self, opening: &Opening) -> Option<Recorded> {
        let account = self.state.open_account(opening.id, opening.asset, opening.floor)?;
        let key = opening.claim.as_ref().map(|claim| self.claim(claim));
        let opened = self.draft.push(account.to_frame(self.clock.tick()), None);
        self.settle(key, None);
        Some(opened)
    }

    /// Decides over transfers, in their order.
    pub fn transfers(&mut self, request: &Transfers, earlier: Earlier<'_>) -> Vec<Outcome> {
        let key = request.claim.as_ref().map(|claim| self.claim(claim));
        if request.linked {
            self.linked(&request.items, earlier, key)
        } else {
            let outcomes = request.items.iter().map(|new| self.one(new, earlier)).collect();
            self.settle(key, None);
            outcomes
        }
    }

    fn one(&mut self, new: &NewTransfer, earlier: Earlier<'_>) -> Outcome {
        match self.decide(new, earlier) {
            Decision::Applied(frame) => Outcome::Created(self.push(frame, new)),
            Decision::Exists(existing) => Outcome::Exists(existing),
            Decision::Rejected(rejection) => self.reject(new, rejection),
        }
    }

    fn linked(&mut self, items: &[NewTransfer], earlier: Earlier<'_>, key: Option<u64>) -> Vec<Outcome> {
        let first = self.draft.next();
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(items.len());
        self.state.begin();
        for (index, new) in items.iter().enumerate() {
            let failed = match self.decide(new, earlier) {
                Decision::Applied(frame) => match outcomes.first() {
                    Some(Outcome::Exists(_)) => Some((0, Rejection::Exists)),
                    _ => {
                        let recorded = self.push(frame, new);
                        outcomes.push(Outcome::Created(recorded));
                        None
                    }
                },
                Decision::Exists(existing) => match outcomes.first() {
                    Some(Outcome::Created(_)) => Some((index, Rejection::Exists)),
                    _ => {
                        outcomes.push(Outcome::Exists(existing));
                        None
                    }
                },
                Decision::Rejected(rejection) => Some((index, rejection)),
            };
            if let Some((failed, rejection)) = failed {
                self.state.take_back();
                self.draft.truncate(first);
                if let Some(new) = items.get(failed) {
                    self.reject(new, rejection);
                }
                self.settle(key, Some((failed, rejection)));
                return failed_batch(items.len(), failed, rejection);
            }
        }
        self.state.keep();
        self.settle(key, None);
        outcomes
    }

    fn decide(&mut self, new: &NewTransfer, earlier: Earlier<'_>) -> Decision {
        let past = Past { draft: self.draft, earlier };
        self.state.decide(new, self.clock.peek(), self.draft.next(), &past)
    }

    fn push(&mut self, frame: Frame, new: &NewTransfer) -> Recorded {
        self.clock.tick();
        let ended = match new.action {
            Action::Post { pending, .. } | Action::Void { pending } => Some(pending),
            _ => None,
        };
        self.draft.push(frame, ended)
    }

    /// Records a rejection that depends on the state: its id is burnt.
    fn reject(&mut self, new: &NewTransfer, rejection: Rejection) -> Outcome {
        if rejection.is_recorded() {
            let mut frame = Frame::blank(Kind::Rejected, new.id.0, self.clock.tick());
            frame.rejection = Some(rejection);
            if let Action::Transfer { debit, credit, amount, .. }
            | Action::Pending { debit, credit, amount, .. } = new.action
            {
                frame.amount = amount;
                frame.debit = self.state.ordinal(debit).unwrap_or(frame.debit);
                frame.credit = self.state.ordinal(credit).unwrap_or(frame.credit);
            }
            self.draft.push(frame, None);
        }
        Outcome::Rejected(rejection)
    }

    /// Records an idempotency key; what the request came to is filled in by `settle`.
    fn claim(&mut self, claim: &Claim) -> u64 {
        let mut frame = Frame::blank(Kind::Key, claim.key, self.clock.tick());
        frame.debit_after = balances_of(&claim.fingerprint);
        frame.reference = self.draft.next() + 1;
        self.draft.push(frame, None).number
    }

    fn settle(&mut self, key: Option<u64>, failed: Option<(usize, Rejection)>) {
        let next = self.draft.next();
        let Some(key) = key else { return };
        self.draft.amend(key, |frame| {
            frame.count = next.saturating_sub(key + 1) as u32;
            if let Some((index, rejection)) = failed {
                frame.amount = Amount::from_minor(index as u128).unwrap_or_default();
                frame.rejection = Some(rejection);
            }
        });
    }
}

/// What became of a request the first time, from the frame of its key and the frames that it made.
pub fn repeated(
    state: &State,
    request: &Transfers,
    key: &Frame,
    frames: &[Recorded],
    earlier: Earlier<'_>,
) -> Vec<Outcome> {
    if let Some(rejection) = key.rejection {
        return failed_batch(request.items.len(), key.amount.minor() as usize, rejection);
    }
    let made_ids = request.claim.as_ref().map(|claim| claim.made_ids.as_slice()).unwrap_or_default();
    let past = Past { draft: &Draft::default(), earlier };
    let mut frames = frames.iter().peekable();
    let mut outcome = |(index, new): (usize, &NewTransfer)| {
        let made = made_ids.get(index).copied().unwrap_or_default();
        if let Some(own) = frames.next_if(|own| own.frame.id == new.id.0 || (made && new.flaw().is_none())) {
            return own.frame.rejection.map_or(Outcome::Created(*own), Outcome::Rejected);
        }
        match state.known(new, &past) {
            Some(Decision::Exists(existing)) => Outcome::Exists(existing),
            Some(Decision::Rejected(rejection)) => Outcome::Rejected(rejection),
            _ => Outcome::Rejected(new.flaw().unwrap_or(Rejection::IdAlreadyFailed)),
        }
    };
    request.items.iter().enumerate().map(&mut outcome).collect()
}

/// The outcomes of a linked batch in which one transfer was refused.
pub fn failed_batch(length: usize, failed: usize, rejection: Rejection) -> Vec<Outcome> {
    let why = |index| if index == failed { rejection } else { Rejection::LinkedFailed };
    (0..length).map(|index| Outcome::Rejected(why(index))).collect()
}

/// The fingerprint that the frame of an idempotency key carries.
pub fn fingerprint_of(frame: &Frame) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (head, tail) = bytes.split_at_mut(16);
    head.copy_from_slice(&frame.debit_after.posted.minor().to_le_bytes());
    tail.copy_from_slice(&frame.debit_after.pending.minor().to_le_bytes());
    bytes
}

fn balances_of(fingerprint: &[u8; 32]) -> Balances {
    let (halves, _) = fingerprint.as_chunks::<16>();
    let half = |at: usize| Balance::from_minor(halves.get(at).map_or(0, |half| i128::from_le_bytes(*half)));
    Balances { posted: half(0), pending: half(1) }
}
