//! A transfer's proof: its frame is in a page, and the page's event is in the audit log.
//!
//! It stands above both domains, which do not know each other: the ledger's half is a path from the frame
//! to the Merkle root in the event of its page, the audit log's half a path from that event's entry to a
//! signed checkpoint. Whoever has the log's verifier key checks both with [`verify_transfer_proof`], without us.

use std::cmp::Ordering;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};

use super::Platform;
use crate::audit::{AuditEntry, Checkpoint, EntryProof, VerifierKey};
use crate::kernel::merkle::{MerkleHash, leaf_hash, verify_inclusion};
use crate::kernel::{Context, Error, EventData, Result, Retry, TransferId};
use crate::transactions::events::PageCommitted;
use crate::transactions::{Frame, PageProof, Transactions};

/// How long a proof waits for the entry of a page that was committed just now.
const WAIT: Duration = Duration::from_secs(2);

/// Proof that a transfer was recorded, and how it ended if it has: for [`verify_transfer_proof`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransferProof {
    /// The transfer.
    pub id: TransferId,
    /// Proof of the frame that recorded it.
    pub created: FrameProof,
    /// Proof of the frame that ended it, when it was pending and has ended. That it has not ended is not
    /// proven by its absence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<FrameProof>,
    /// The signed checkpoint of the audit log under which all is proven.
    pub checkpoint: String,
}

/// Proof that a frame is in the ledger: page proof and log proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FrameProof {
    /// The frame, and its path to the root in the event of its page.
    pub page: PageProof,
    /// The number of the audit entry that holds that event.
    pub entry_index: u64,
    /// The entry: exactly the text whose bytes are hashed.
    pub entry: String,
    /// The hashes of RFC 6962, 2.1.1, from the entry to the root of the checkpoint.
    pub path: Vec<MerkleHash>,
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvenTransfer {
    /// The transfer.
    pub id: TransferId,
    /// The frame that recorded it.
    pub created: Frame,
    /// The frame that ended it.
    pub ended: Option<Frame>,
    /// The checkpoint of the log that holds both.
    pub checkpoint: Checkpoint,
}

/// Checks a proof, with nothing but the verifier key of the audit log (`GET /v1/audit/key`).
///
/// # Errors
/// `transactions.proof_invalid` with the part that does not hold; `audit.…` when the checkpoint is not
/// signed by this key.
pub fn verify_transfer_proof(proof: &TransferProof, key: &VerifierKey) -> Result<ProvenTransfer> {
    let checkpoint = Checkpoint::open(&proof.checkpoint, key)?;
    let (ledger, created) = verify_frame(&proof.created, &checkpoint)?;
    if created.transfer_id() != proof.id {
        return Err(invalid("id"));
    }
    let ended = match &proof.ended {
        Some(end) => {
            let (other, ended) = verify_frame(end, &checkpoint)?;
            let ends = ledger == other && ended.ends(proof.created.page.number, &created);
            Some(ended).filter(|_| ends).ok_or_else(|| invalid("ended")).map(Some)?
        }
        None => None,
    };
    Ok(ProvenTransfer { id: proof.id, created, ended, checkpoint })
}

fn verify_frame(proof: &FrameProof, checkpoint: &Checkpoint) -> Result<(String, Frame)> {
    let leaf = leaf_hash(proof.entry.as_bytes());
    if !verify_inclusion(proof.entry_index, checkpoint.size, &leaf, &proof.path, &checkpoint.root) {
        return Err(invalid("path"));
    }
    let entry = AuditEntry::from_leaf(proof.entry.as_bytes())?;
    let page = page_of(&entry).ok_or_else(|| invalid("entry"))?;
    let frame = proof.page.verify(&page).ok_or_else(|| invalid("page"))?;
    Ok((page.ledger, frame))
}

/// The page that an entry tells of: only what the ledger's own store published counts.
fn page_of(entry: &AuditEntry) -> Option<PageCommitted> {
    let from_the_ledger =
        entry.what.source.as_ref().is_some_and(|source| source.store == Transactions::schema().store);
    if !from_the_ledger || entry.what.action != PageCommitted::TYPE {
        return None;
    }
    PageCommitted::deserialize(&entry.what.data).ok().filter(|page| entry.what.subject == page.subject())
}

fn invalid(part: &'static str) -> Error {
    Error::invalid("transactions.proof_invalid", "the proof does not hold").with("part", part)
}

impl Platform {
    /// Proof that a transfer is in the ledger and that the audit log says so. A page that was committed
    /// just now is waited for, at most two seconds.
    ///
    /// # Errors
    /// `auth.…` for whoever may not read the transfer, or without `audit:read`;
    /// `ledger.transfer_not_found`; `transactions.proof_pending`, to be tried again, when the audit log has
    /// not taken in the page yet.
    pub async fn transfer_proof(&self, context: &Context, id: TransferId) -> Result<TransferProof> {
        context.require(&crate::audit::READ)?;
        let pages = self.transactions().page_proofs(context, id).await?;
        let subject = PageCommitted::subject_of(pages.ledger);
        let mut indexes = Vec::new();
        for frame in std::iter::once(&pages.created).chain(&pages.ended) {
            indexes.push(self.entry_of(context, &subject, frame).await?);
        }
        let mut entries = self.audit().proofs(context, &indexes).await?.into_iter();
        let missing =
            || Error::internal("transactions.proof_missing", "a proof that was asked for is missing");
        let first = entries.next().ok_or_else(missing)?;
        let checkpoint = first.checkpoint.clone();
        let ended = pages.ended.zip(entries.next()).map(|((page, _), entry)| joined(page, entry));
        Ok(TransferProof { id: pages.id, created: joined(pages.created.0, first), ended, checkpoint })
    }

    /// The number of the audit entry for the page of a frame.
    async fn entry_of(
        &self,
        context: &Context,
        subject: &str,
        (proof, frame): &(PageProof, Frame),
    ) -> Result<u64> {
        let (audit, number) = (self.audit(), proof.number);
        let order = |entry: &AuditEntry| {
            let page = page_of(entry)?;
            Some(match number {
                _ if page.end <= number => Ordering::Less,
                _ if page.first > number => Ordering::Greater,
                _ => Ordering::Equal,
            })
        };
        let runtime = &self.backends().runtime;
        let mut committed = audit.database().store.committed();
        let mut timeout = runtime.sleep(WAIT);
        loop {
            committed.mark_unchanged();
            if let Some(found) = audit.locate(context, subject, Some(frame.time), order).await? {
                return Ok(found.index);
            }
            match select(pin!(committed.changed()), &mut timeout).await {
                Either::Left((Ok(()), _)) => {}
                _ => break,
            }
        }
        // A page whose time is not that of its frames: the clock was set back.
        let found = audit.locate(context, subject, None, order).await?;
        found.map(|found| found.index).ok_or_else(|| {
            Error::unavailable("transactions.proof_pending", "the audit log has not taken in the page yet")
                .retry(Retry::After(Duration::from_secs(1)))
        })
    }
}

fn joined(page: PageProof, entry: EntryProof) -> FrameProof {
    FrameProof { page, entry_index: entry.index, entry: entry.entry, path: entry.proof }
}
