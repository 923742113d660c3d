//! What the sequencer is asked for, and what it answers.

use tokio::sync::oneshot;

use crate::kernel::{AccountId, Error, NewEvent, RawId, Result};
use crate::ports::store::Write;

use super::page::{Claim, Opening, Outcome, Transfers};
use super::state::{Action, NewTransfer};

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
    /// A new account: its id.
    Open(Box<(Opening, Riders)>, oneshot::Sender<Result<AccountId>>),
}

impl Request {
    /// Frames that it needs at most.
    pub(super) fn weight(&self) -> usize {
        match self {
            Request::Transfers(transfers, _) => transfers.items.len() + 1,
            Request::Open(..) => 2,
        }
    }

    pub(super) fn claim(&self) -> Option<&Claim> {
        match self {
            Request::Transfers(transfers, _) => transfers.claim.as_ref(),
            Request::Open(opening, _) => opening.0.claim.as_ref(),
        }
    }

    /// The ids of which it must be known whether they were used.
    pub(super) fn ids(&self) -> Vec<RawId> {
        match self {
            Request::Transfers(transfers, _) => ids_of(&transfers.items).collect(),
            Request::Open(..) => Vec::new(),
        }
    }

    pub(super) fn fail(self, error: Error) {
        // Nobody waits any more when the caller gave up.
        match self {
            Request::Transfers(_, reply) => drop(reply.send(Err(error))),
            Request::Open(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

/// What was decided over a request; told when its page is durable.
pub(super) enum Decided {
    Transfers(Transfers, oneshot::Sender<Result<Vec<Outcome>>>, Vec<Outcome>),
    Open(Box<(Opening, Riders)>, oneshot::Sender<Result<AccountId>>, Result<Opened>),
}

/// What became of an account that was to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// It is opened with this page.
    Now,
    /// An earlier page has opened it for this very request, but its commit had no answer.
    Before,
}

impl Decided {
    pub(super) fn tell(self) {
        match self {
            Decided::Transfers(_, reply, outcomes) => drop(reply.send(Ok(outcomes))),
            Decided::Open(opening, reply, opened) => drop(reply.send(opened.map(|_| opening.0.id))),
        }
    }

    pub(super) fn again(self) -> Request {
        match self {
            Decided::Transfers(transfers, reply, _) => Request::Transfers(transfers, reply),
            Decided::Open(opening, reply, _) => Request::Open(opening, reply),
        }
    }
}

/// The ids that transfers bear or name.
pub(super) fn ids_of(items: &[NewTransfer]) -> impl Iterator<Item = RawId> {
    items.iter().flat_map(|new| {
        let named = match new.action {
            Action::Post { pending, .. } | Action::Void { pending } => Some(pending.0),
            _ => None,
        };
        std::iter::once(new.id.0).chain(named)
    })
}
