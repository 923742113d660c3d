//! The newest committed frames, in memory: everything that is not yet in a run.

use std::sync::Arc;

use crate::kernel::{RawId, Timestamp, TransferId};

use super::draft::Draft;
use super::frame::Frame;
use super::state::Recorded;

/// No earlier frame of the account in the segment.
const NONE: u32 = u32::MAX;

/// A stretch of frames with their ids, and with a chain per account from its newest frame to older ones.
#[derive(Debug, Default)]
pub struct Segment {
    frames: Draft,
    /// Per frame: the offsets of the frames before it of the debited and the credited account.
    before: Vec<(u32, u32)>,
    /// Per account: the offset of its newest frame.
    newest: Vec<u32>,
}

impl Segment {
    fn new(first: u64) -> Segment {
        Segment { frames: Draft::new(first), ..Segment::default() }
    }

    fn reserve(&mut self, frames: usize) {
        self.frames.reserve(frames);
        self.before.reserve(frames);
    }

    /// The number of its first frame.
    pub fn first(&self) -> u64 {
        self.frames.first()
    }

    /// The number behind its last frame.
    pub fn end(&self) -> u64 {
        self.frames.next()
    }

    /// The frames.
    pub fn frames(&self) -> &[Frame] {
        self.frames.frames()
    }

    /// `(number of the frame, pending transfer that it ended)`, in the order of the frames.
    pub fn ends(&self) -> &[(u64, TransferId)] {
        self.frames.ends()
    }

    fn push(&mut self, frame: Frame, ended: Option<TransferId>) {
        let offset = self.before.len() as u32;
        self.frames.push(frame, ended);
        let before = if frame.kind.moves() {
            (self.chain(frame.debit, offset), self.chain(frame.credit, offset))
        } else {
            (NONE, NONE)
        };
        self.before.push(before);
    }

    /// Makes `offset` the newest frame of an account; gives the one before it.
    fn chain(&mut self, account: u32, offset: u32) -> u32 {
        let account = account as usize;
        if self.newest.len() <= account {
            self.newest.resize(account + 1, NONE);
        }
        self.newest.get_mut(account).map_or(NONE, |newest| std::mem::replace(newest, offset))
    }

    fn of_account(&self, account: u32) -> impl Iterator<Item = Recorded> {
        let mut at = self.newest.get(account as usize).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let recorded = self.frames.get(self.first() + u64::from(at)).filter(|_| at != NONE)?;
            let (debit, credit) = self.before.get(at as usize).copied()?;
            at = if recorded.frame.debit == account { debit } else { credit };
            Some(recorded)
        })
    }
}

/// The segments behind the last checkpoint. A full one is sealed, written to runs by a worker, and dropped.
#[derive(Debug, Default)]
pub struct Tail {
    sealed: Vec<Arc<Segment>>,
    active: Segment,
}

impl Tail {
    /// An empty one; its first frame will have this number.
    pub fn new(first: u64) -> Tail {
        Tail { sealed: Vec::new(), active: Segment::new(first) }
    }

    /// The number of its first frame: all before it are in runs.
    pub fn first(&self) -> u64 {
        self.segments().last().map_or(0, Segment::first)
    }

    /// The number of the next frame.
    pub fn next(&self) -> u64 {
        self.active.end()
    }

    /// The segment that grows.
    pub fn active(&self) -> &Segment {
        &self.active
    }

    /// The next segment that is to be written.
    pub fn oldest_sealed(&self) -> Option<Arc<Segment>> {
        self.sealed.first().map(Arc::clone)
    }

    /// Ends the growing segment and begins another.
    pub fn seal(&mut self) {
        let mut next = Segment::new(self.next());
        // A ledger that filled one segment fills the next.
        next.reserve(self.active.frames().len());
        self.sealed.push(Arc::new(std::mem::replace(&mut self.active, next)));
    }

    /// Drops the sealed segments below this number: they are in runs.
    pub fn drop_below(&mut self, number: u64) {
        self.sealed.retain(|segment| segment.end() > number);
    }

    /// Appends a frame; `ended` is the pending transfer that it ends.
    pub fn push(&mut self, frame: Frame, ended: Option<TransferId>) {
        self.active.push(frame, ended);
    }

    /// Appends a page that was committed.
    pub fn append(&mut self, page: &Draft) {
        let mut ends = page.ends().iter().peekable();
        for (number, frame) in (page.first()..).zip(page.frames()) {
            let ended = ends.next_if(|(end, _)| *end == number).map(|(_, id)| *id);
            self.active.push(*frame, ended);
        }
    }

    /// The frame with this number.
    pub fn get(&self, number: u64) -> Option<Recorded> {
        self.segments().find_map(|segment| segment.frames.get(number))
    }

    /// The frame that has this id as its own.
    pub fn created(&self, id: TransferId) -> Option<Recorded> {
        self.segments().find_map(|segment| segment.frames.created(id))
    }

    /// The frame that ended this pending transfer.
    pub fn resolved(&self, id: TransferId) -> Option<Recorded> {
        self.segments().find_map(|segment| segment.frames.resolved(id))
    }

    /// The newest frame of this idempotency key.
    pub fn key(&self, id: RawId) -> Option<Recorded> {
        self.segments().find_map(|segment| segment.frames.key(id))
    }

    /// The frames that moved something of an account, newest first, beginning below `before`.
    pub fn of_account(&self, account: u32, before: u64) -> impl Iterator<Item = Recorded> {
        self.segments()
            .filter(move |segment| segment.first() < before)
            .flat_map(move |segment| segment.of_account(account))
            .skip_while(move |recorded| recorded.number >= before)
    }

    /// The number of the first frame later than `time`, when that is in the tail: `None` means that even
    /// the first frame of the tail is later, or that there is none.
    pub fn after(&self, time: Timestamp) -> Option<u64> {
        let segment =
            self.segments().find(|segment| segment.frames().first().is_some_and(|f| f.time <= time))?;
        Some(segment.first() + segment.frames().partition_point(|frame| frame.time <= time) as u64)
    }

    /// Newest first.
    fn segments(&self) -> impl Iterator<Item = &Segment> {
        std::iter::once(&self.active).chain(self.sealed.iter().rev().map(|segment| &**segment))
    }
}
