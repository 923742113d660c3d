//! The newest committed frames, in memory: everything that is not yet in a run.

use super::draft::Draft;
use super::frame::{Frame, Kind};
use super::state::Recorded;
use crate::kernel::{RawId, TransferId};

/// No earlier frame of the account in the tail.
const NONE: u32 = u32::MAX;

/// The frames behind the last checkpoint, with their ids, and with a chain per account from its newest
/// frame to older ones.
#[derive(Debug, Default)]
pub struct Tail {
    frames: Draft,
    /// Per frame: the offsets of the frames before it of the debited and the credited account.
    before: Vec<(u32, u32)>,
    /// Per account: the offset of its newest frame.
    newest: Vec<u32>,
}

impl Tail {
    /// An empty one; its first frame will have this number.
    pub fn new(first: u64) -> Tail {
        Tail { frames: Draft::new(first), ..Tail::default() }
    }

    /// The number of its first frame: all before it are in runs.
    pub fn first(&self) -> u64 {
        self.frames.first()
    }

    /// The number of the next frame.
    pub fn next(&self) -> u64 {
        self.frames.next()
    }

    /// The frames.
    pub fn frames(&self) -> &[Frame] {
        self.frames.frames()
    }

    /// `(number of the frame, pending transfer that it ended)`.
    pub fn ends(&self) -> &[(u64, TransferId)] {
        self.frames.ends()
    }

    /// The frame with this number.
    pub fn get(&self, number: u64) -> Option<Recorded> {
        self.frames.get(number)
    }

    /// The frame that has this id as its own.
    pub fn created(&self, id: TransferId) -> Option<Recorded> {
        self.frames.created(id)
    }

    /// The frame that ended this pending transfer.
    pub fn resolved(&self, id: TransferId) -> Option<Recorded> {
        self.frames.resolved(id)
    }

    /// The newest frame of this idempotency key.
    pub fn key(&self, id: RawId) -> Option<Recorded> {
        self.frames.key(id)
    }

    /// Appends a frame; `ended` is the pending transfer that it ends.
    pub fn push(&mut self, frame: Frame, ended: Option<TransferId>) {
        let offset = self.before.len() as u32;
        self.frames.push(frame, ended);
        let before = if frame.kind.moves() {
            (self.chain(frame.debit, offset), self.chain(frame.credit, offset))
        } else {
            (NONE, NONE)
        };
        self.before.push(before);
    }

    /// Appends a page that was committed.
    pub fn append(&mut self, page: &Draft) {
        let mut ends = page.ends().iter().peekable();
        for (number, frame) in (page.first()..).zip(page.frames()) {
            let ended = ends.next_if(|(end, _)| *end == number).map(|(_, id)| *id);
            self.push(*frame, ended);
        }
    }

    /// The frames that moved something of an account, newest first, beginning below `before`.
    pub fn of_account(&self, account: u32, before: u64) -> impl Iterator<Item = Recorded> {
        let mut at = self.newest.get(account as usize).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let recorded = self.frames.get(self.first() + u64::from(at)).filter(|_| at != NONE)?;
            let (debit, credit) = self.before.get(at as usize).copied()?;
            at = if recorded.frame.debit == account { debit } else { credit };
            Some(recorded)
        })
        .skip_while(move |recorded| recorded.number >= before)
    }

    /// Makes `offset` the newest frame of an account; gives the one before it.
    fn chain(&mut self, account: u32, offset: u32) -> u32 {
        let account = account as usize;
        if self.newest.len() <= account {
            self.newest.resize(account + 1, NONE);
        }
        self.newest.get_mut(account).map_or(NONE, |newest| std::mem::replace(newest, offset))
    }

    /// The ids that a run keeps of a frame: `(id, what it stands for)`.
    pub fn ids_of(frame: &Frame) -> Option<RawId> {
        (!matches!(frame.kind, Kind::Account | Kind::Expire)).then_some(frame.id)
    }
}
