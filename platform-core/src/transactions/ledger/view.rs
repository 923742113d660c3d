//! What readers see: committed frames only.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::kernel::{AccountId, Balance, RawId, Timestamp};

use super::draft::Draft;
use super::filter::IdHash;
use super::frame::{AccountFrame, AssetCode, Balances, FrameAccounts};
use super::rows::Run;
use super::state::State;
use super::storage::{Head, RunEntry};
use super::tail::Tail;

/// Bytes of a row of ids: the id, and the number of its frame.
pub const ID_ROW: usize = 22;
/// Bytes of a row of accounts: the ordinal, and the number of its frame.
pub const ACCOUNT_ROW: usize = 10;

/// The two runs over the same frames.
#[derive(Debug)]
pub struct RunPair {
    /// What they cover.
    pub entry: RunEntry,
    /// Ids.
    pub ids: Run<ID_ROW>,
    /// Accounts.
    pub accounts: Run<ACCOUNT_ROW>,
}

/// An account as readers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenAccount {
    /// Its id.
    pub id: AccountId,
    /// What it counts.
    pub asset: AssetCode,
    /// The least it may hold.
    pub floor: Option<Balance>,
    /// What it holds.
    pub held: Balances,
}

/// Everything committed that is in memory.
#[derive(Debug)]
pub struct Seen {
    /// Where the ledger ends.
    pub head: Head,
    /// The newest frames.
    pub tail: Tail,
    /// Everything before the tail, oldest first.
    pub runs: Arc<Vec<Arc<RunPair>>>,
    /// When the next pending transfer expires.
    pub next_expiry: Option<Timestamp>,
    accounts: Vec<SeenAccount>,
    ordinals: HashMap<RawId, u32, IdHash>,
}

impl Seen {
    /// What was loaded.
    pub fn new(head: Head, tail: Tail, runs: Vec<Arc<RunPair>>, state: &State) -> Seen {
        let mut seen = Seen {
            head,
            tail,
            runs: Arc::new(runs),
            next_expiry: state.next_expiry(),
            accounts: Vec::with_capacity(state.accounts().len()),
            ordinals: HashMap::default(),
        };
        for account in state.accounts() {
            seen.add_account(SeenAccount {
                id: account.id,
                asset: account.asset,
                floor: account.floor,
                held: account.held,
            });
        }
        seen
    }

    /// Shows a page that was committed.
    pub fn publish(&mut self, page: &Draft, head: &Head, next_expiry: Option<Timestamp>) {
        for frame in page.frames() {
            match frame.accounts() {
                FrameAccounts::None => {}
                FrameAccounts::Opened(AccountFrame { id, asset, floor, .. }) => {
                    self.add_account(SeenAccount { id, asset, floor, held: Balances::default() });
                }
                FrameAccounts::Moved => {
                    for (ordinal, after) in
                        [(frame.debit, frame.debit_after), (frame.credit, frame.credit_after)]
                    {
                        if let Some(account) = self.accounts.get_mut(ordinal as usize) {
                            account.held = after;
                        }
                    }
                }
            }
        }
        self.tail.append(page);
        self.head = head.clone();
        self.next_expiry = next_expiry;
    }

    /// The accounts, by ordinal.
    pub fn accounts(&self) -> &[SeenAccount] {
        &self.accounts
    }

    /// The ordinal of an account.
    pub fn ordinal(&self, id: AccountId) -> Option<u32> {
        self.ordinals.get(&id.0).copied()
    }

    /// The account with this ordinal.
    pub fn account(&self, ordinal: u32) -> Option<&SeenAccount> {
        self.accounts.get(ordinal as usize)
    }

    fn add_account(&mut self, account: SeenAccount) {
        self.ordinals.insert(account.id.0, self.accounts.len() as u32);
        self.accounts.push(account);
    }
}

/// Shared by the sequencer, which writes it, and by readers.
#[derive(Debug)]
pub struct View(RwLock<Seen>);

impl View {
    /// A view of what was loaded.
    pub fn new(seen: Seen) -> View {
        View(RwLock::new(seen))
    }

    /// Looks at it. Never held across a wait.
    pub fn read(&self) -> RwLockReadGuard<'_, Seen> {
        self.0.read()
    }

    /// Changes it. Never held across a wait.
    pub fn write(&self) -> RwLockWriteGuard<'_, Seen> {
        self.0.write()
    }
}
