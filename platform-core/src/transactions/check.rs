//! Whether the ledger is right: quickly from memory, and thoroughly from the first frame on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::merkle::{self, MerkleHash};
use crate::kernel::{Context, Error, Result};

use super::ledger::frame::{AccountFrame, Frame, Kind};
use super::ledger::seal::chain;
use super::ledger::state::State;
use super::{LEDGER_READ, Transactions};

/// Frames of one read.
const STRETCH: u64 = 16_384;

/// The sums of the ledger at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LedgerCheck {
    /// Whether the debits equal the credits, for every asset.
    pub balanced: bool,
    /// Accounts.
    pub accounts: u64,
    /// Frames.
    pub frames: u64,
    /// Pages.
    pub pages: u64,
    /// The sums of each asset.
    pub assets: Vec<AssetCheck>,
}

/// The sums of an asset over all accounts: zero, because what one gives another receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AssetCheck {
    /// The asset.
    pub asset: String,
    /// The sum of all credits minus all debits, in minor units.
    pub posted_minor: String,
    /// The same of what is reserved.
    pub pending_minor: String,
}

/// What a reading of every frame came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LedgerVerification {
    /// Frames.
    pub frames: u64,
    /// Pages.
    pub pages: u64,
    /// The hash over all pages.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: MerkleHash,
}

impl Transactions {
    /// Σ debits = Σ credits: the sums over all accounts, from memory.
    ///
    /// # Errors
    /// `auth.…` without [`LEDGER_READ`].
    pub fn check(&self, context: &Context) -> Result<LedgerCheck> {
        context.require(&LEDGER_READ)?;
        let seen = self.ledger.view().read();
        let mut sums: BTreeMap<_, (i128, i128)> = BTreeMap::new();
        for account in seen.accounts() {
            // Balances may be near the end of their range; a sum that wraps still comes back to zero.
            let sum = sums.entry(account.asset).or_default();
            sum.0 = sum.0.wrapping_add(account.held.posted.minor());
            sum.1 = sum.1.wrapping_add(account.held.pending.minor());
        }
        Ok(LedgerCheck {
            balanced: sums.values().all(|sum| *sum == (0, 0)),
            accounts: seen.accounts().len() as u64,
            frames: seen.head.next,
            pages: seen.head.page,
            assets: sums
                .into_iter()
                .map(|(asset, (posted, pending))| AssetCheck {
                    asset: asset.text(),
                    posted_minor: posted.to_string(),
                    pending_minor: pending.to_string(),
                })
                .collect(),
        })
    }

    /// Reads every frame: decides nothing anew, but recomputes every balance, the root of every page and
    /// the hash over all of them, and holds all of that against what is stored.
    ///
    /// # Errors
    /// `auth.…` without [`LEDGER_READ`]; `ledger.damaged` with the number of the first bad frame.
    pub async fn verify(&self, context: &Context) -> Result<LedgerVerification> {
        context.require(&LEDGER_READ)?;
        let head = self.ledger.view().read().head.clone();
        let mut walk = Walk::default();
        let mut from = 0;
        while from < head.next {
            let to = head.next.min(from + STRETCH);
            let frames = self.ledger.reader().stretch(from, to).await?;
            if frames.len() as u64 != to - from {
                return Err(bad("missing", from + frames.len() as u64));
            }
            for recorded in frames {
                walk.step(recorded.number, &recorded.frame)?;
            }
            from = to;
        }
        let hash = walk.hash.unwrap_or_else(merkle::empty_root);
        if hash != head.hash || walk.pages != head.page {
            return Err(bad("hash", head.next));
        }
        Ok(LedgerVerification { frames: head.next, pages: walk.pages, hash })
    }
}

fn bad(what: &'static str, frame: u64) -> Error {
    Error::data_loss("ledger.damaged", "a frame of the ledger is not what it should be")
        .with("what", what)
        .with("frame", frame)
}

#[derive(Default)]
struct Walk {
    state: State,
    open: BTreeMap<u64, Frame>,
    leaves: Vec<MerkleHash>,
    page_first: u64,
    pages: u64,
    hash: Option<MerkleHash>,
    time: u64,
}

impl Walk {
    fn step(&mut self, number: u64, frame: &Frame) -> Result<()> {
        if number > 0 && frame.time.as_micros() <= self.time {
            return Err(bad("time", number));
        }
        self.time = frame.time.as_micros();
        self.balances(number, frame).ok_or_else(|| bad("balance", number))?;
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.leaves.push(merkle::leaf_hash(&bytes));
        if frame.page_end {
            let root = merkle::root(self.leaves.drain(..));
            let before = self.hash.unwrap_or_else(merkle::empty_root);
            self.hash = Some(chain(&before, &root, self.page_first, number + 1));
            self.page_first = number + 1;
            self.pages += 1;
        }
        Ok(())
    }

    /// Recomputes both balances; `None` when they are not those of the frame.
    fn balances(&mut self, number: u64, frame: &Frame) -> Option<()> {
        let ended = frame.kind.resolves().then(|| self.open.remove(&frame.reference));
        if let Some(opened) = AccountFrame::from_frame(frame) {
            return self
                .state
                .replay(number, frame, None)
                .filter(|()| self.state.ordinal(opened.id).is_some());
        }
        if !frame.kind.moves() {
            return Some(());
        }
        let mut debit = self.state.account(frame.debit)?.held;
        let mut credit = self.state.account(frame.credit)?.held;
        let held = match ended {
            Some(held) => {
                let held = held.filter(|held| (held.debit, held.credit) == (frame.debit, frame.credit))?;
                debit.pending = debit.pending.credit(held.amount)?;
                credit.pending = credit.pending.debit(held.amount)?;
                (frame.amount <= held.amount).then_some(Some(held.transfer_id()))?
            }
            None => None,
        };
        if frame.kind == Kind::Pending {
            debit.pending = debit.pending.debit(frame.amount)?;
            credit.pending = credit.pending.credit(frame.amount)?;
            self.open.insert(number, *frame);
        } else {
            debit.posted = debit.posted.debit(frame.amount)?;
            credit.posted = credit.posted.credit(frame.amount)?;
        }
        if (debit, credit) != (frame.debit_after, frame.credit_after) {
            return None;
        }
        self.state.replay(number, frame, held)
    }
}
