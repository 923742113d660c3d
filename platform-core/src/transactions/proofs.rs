//! What proves a frame: its path to the Merkle root that its page's event carries.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};

use crate::kernel::merkle::{self, MerkleHash, leaf_hash, plan_inclusion, verify_inclusion};
use crate::kernel::{Context, Result, TransferId};

use super::ledger::frame::{FRAME_BYTES, Frame, Kind};
use super::ledger::page::PAGE_FRAMES;
use super::ledger::reader::Traced;
use super::ledger::state::Recorded;
use super::ledger::storage::{BLOCK_FRAMES, MAIN, damaged};
use super::{Transactions, error, events::PageCommitted};

/// A frame of the ledger, and its path to the root of its page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageProof {
    /// The number of the frame in the ledger, from 0.
    pub number: u64,
    /// The frame's 128 bytes, in base 64: see [`Frame`] for what stands in them.
    pub frame: String,
    /// The hashes of RFC 6962, 2.1.1, from the frame to the root of its page.
    pub path: Vec<MerkleHash>,
}

/// The proofs of the frames of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageProofs {
    /// The transfer itself: what the id of an end (a post, a void) belongs to.
    pub id: TransferId,
    /// The ledger that it is in.
    pub ledger: &'static str,
    /// Of the frame that recorded it.
    pub created: (PageProof, Frame),
    /// Of the frame that ended it, when it was pending and has ended.
    pub ended: Option<(PageProof, Frame)>,
}

impl PageProof {
    /// The frame, when the path leads from it to the root of this page; `None` when it does not.
    pub fn verify(&self, page: &PageCommitted) -> Option<Frame> {
        let bytes: [u8; FRAME_BYTES] = BASE64_STANDARD.decode(&self.frame).ok()?.try_into().ok()?;
        let (index, size) = (self.number.checked_sub(page.first)?, page.end.checked_sub(page.first)?);
        verify_inclusion(index, size, &leaf_hash(&bytes), &self.path, &page.root)
            .then(|| Frame::decode(&bytes))?
    }
}

impl Transactions {
    /// Proofs that the frames of a transfer are in their pages: for whoever may read the transfer.
    ///
    /// # Errors
    /// As [`Transactions::read_transfer`].
    pub async fn page_proofs(&self, context: &Context, id: TransferId) -> Result<PageProofs> {
        let id = self.read_transfer(context, id).await?.id;
        let traced = self.ledger.reader().traced(&[id]).await?.pop().flatten();
        let Traced { created, resolved } = traced.ok_or_else(|| error::transfer_not_found(id))?;
        let ended = match resolved {
            Some(end) => Some((self.page_proof(end).await?, end.frame)),
            None => None,
        };
        Ok(PageProofs { id, ledger: MAIN, created: (self.page_proof(created).await?, created.frame), ended })
    }

    async fn page_proof(&self, recorded: Recorded) -> Result<PageProof> {
        let (first, page) = self.page_of(recorded.number).await?;
        let leaves: Vec<_> = page.iter().map(|frame| leaf_hash(&bytes_of(frame))).collect();
        let plan = plan_inclusion(recorded.number - first, page.len() as u64);
        let path = plan.and_then(|plan| {
            plan.resolve(|node| {
                let (from, width) = (node.index << node.level, 1 << node.level);
                let under = leaves.get(from as usize..(from + width) as usize)?;
                Some(merkle::root(under.iter().copied()))
            })
        });
        Ok(PageProof {
            number: recorded.number,
            frame: BASE64_STANDARD.encode(bytes_of(&recorded.frame)),
            path: path.ok_or_else(|| damaged("page"))?,
        })
    }

    /// The frames of the page that a frame is in, and the number of the first: the last frame of every
    /// page says that it is the last.
    async fn page_of(&self, number: u64) -> Result<(u64, Vec<Frame>)> {
        let mut page: Vec<Frame> = Vec::new();
        let mut first = number;
        while first > 0 && page.len() < PAGE_FRAMES {
            let before = self.ledger.reader().stretch(first.saturating_sub(BLOCK_FRAMES), first).await?;
            let own = before.iter().rev().take_while(|recorded| !recorded.frame.page_end).count();
            page.splice(..0, before.iter().skip(before.len() - own).map(|recorded| recorded.frame));
            first -= own as u64;
            if own < before.len() {
                break;
            }
        }
        loop {
            let next = first + page.len() as u64;
            let behind = self.ledger.reader().stretch(next, next + BLOCK_FRAMES).await?;
            if behind.is_empty() || page.len() > PAGE_FRAMES {
                return Err(damaged("page"));
            }
            for recorded in behind {
                page.push(recorded.frame);
                if recorded.frame.page_end {
                    return Ok((first, page));
                }
            }
        }
    }
}

fn bytes_of(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRAME_BYTES);
    frame.encode(&mut bytes);
    bytes
}

impl Frame {
    /// Whether this frame ended the pending transfer that `created`, the frame with that number, recorded.
    pub fn ends(&self, number: u64, created: &Frame) -> bool {
        self.kind.resolves()
            && created.kind == Kind::Pending
            && self.reference == number
            && (self.debit, self.credit) == (created.debit, created.credit)
            && self.amount <= created.amount
            && created.time < self.time
    }
}
