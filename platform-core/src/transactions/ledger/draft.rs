//! A page that is being made: its frames, and what can be looked up in them.

use std::collections::HashMap;

use crate::kernel::{RawId, TransferId};

use super::filter::IdHash;
use super::frame::{Frame, Kind};
use super::state::Recorded;

/// Frames with consecutive numbers, and their ids.
#[derive(Debug, Default)]
pub struct Draft {
    first: u64,
    frames: Vec<Frame>,
    /// Which pending transfer a frame ended, in the order of the frames.
    ends: Vec<(u64, TransferId)>,
    created: HashMap<RawId, u32, IdHash>,
    resolved: HashMap<RawId, u32, IdHash>,
    keys: HashMap<RawId, u32, IdHash>,
}

impl Draft {
    /// An empty one; its first frame will have this number.
    pub fn new(first: u64) -> Draft {
        Draft { first, ..Draft::default() }
    }

    /// Makes room for so many frames, so that no map grows while they come.
    pub fn reserve(&mut self, frames: usize) {
        self.frames.reserve(frames);
        self.created.reserve(frames);
    }

    /// The number of its first frame.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next frame.
    pub fn next(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// The frames.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// `(number of the frame, pending transfer that it ended)`, in the order of the frames.
    pub fn ends(&self) -> &[(u64, TransferId)] {
        &self.ends
    }

    /// The frame with this number.
    pub fn get(&self, number: u64) -> Option<Recorded> {
        let frame = *self.frames.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?;
        Some(Recorded { number, frame })
    }

    /// Appends a frame; `ended` is the pending transfer that it ends.
    pub fn push(&mut self, frame: Frame, ended: Option<TransferId>) -> Recorded {
        let number = self.next();
        let offset = self.frames.len() as u32;
        match frame.kind {
            Kind::Account | Kind::Expire => {}
            Kind::Key => {
                self.keys.insert(frame.id, offset);
            }
            _ => {
                self.created.insert(frame.id, offset);
            }
        }
        if let Some(id) = ended {
            self.resolved.insert(id.0, offset);
            self.ends.push((number, id));
        }
        self.frames.push(frame);
        Recorded { number, frame }
    }

    /// Removes the frames from this number on.
    pub fn truncate(&mut self, number: u64) {
        while self.next() > number {
            let Some(frame) = self.frames.pop() else { return };
            self.created.remove(&frame.id);
        }
        while let Some((_, id)) = self.ends.pop_if(|(end, _)| *end >= number) {
            self.resolved.remove(&id.0);
        }
    }

    /// Changes a frame that is in its place already: what a request came to, or the end of the page.
    pub fn amend(&mut self, number: u64, change: impl FnOnce(&mut Frame)) {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(frame) = at.and_then(|at| self.frames.get_mut(at)) {
            change(frame);
        }
    }

    /// The frame that has this id as its own.
    pub fn created(&self, id: TransferId) -> Option<Recorded> {
        self.at(self.created.get(&id.0))
    }

    /// The frame that ended this pending transfer.
    pub fn resolved(&self, id: TransferId) -> Option<Recorded> {
        self.at(self.resolved.get(&id.0))
    }

    /// The frame of this idempotency key.
    pub fn key(&self, id: RawId) -> Option<Recorded> {
        self.at(self.keys.get(&id))
    }

    fn at(&self, offset: Option<&u32>) -> Option<Recorded> {
        self.get(self.first + u64::from(*offset?))
    }
}
