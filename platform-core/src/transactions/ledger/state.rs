//! What the ledger knows about accounts and pending transfers, and the decision over one transfer.
//!
//! Pure: the same transfers at the same times give the same frames. Who looks up the past is [`History`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::kernel::{AccountId, Amount, Balance, RawId, Result, Timestamp, TransferId};
use crate::transactions::error;

use super::filter::IdHash;
use super::frame::{AccountFrame, AssetCode, Balances, Frame, Kind};
use super::rejection::Rejection;

/// What a transfer is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Move an amount at once.
    Transfer {
        /// The account that gives.
        debit: AccountId,
        /// The account that receives.
        credit: AccountId,
        /// How much.
        amount: Amount,
        /// When given, both accounts must count it.
        asset: Option<AssetCode>,
    },
    /// Reserve an amount.
    Pending {
        /// The account that gives.
        debit: AccountId,
        /// The account that receives.
        credit: AccountId,
        /// How much.
        amount: Amount,
        /// When given, both accounts must count it.
        asset: Option<AssetCode>,
        /// Seconds until it is released by itself; 0: never.
        expires_in_s: u32,
    },
    /// Move a reserved amount.
    Post {
        /// The pending transfer.
        pending: TransferId,
        /// A part of what was reserved; `None`: all of it. The rest is released.
        amount: Option<Amount>,
    },
    /// Release a reserved amount.
    Void {
        /// The pending transfer.
        pending: TransferId,
    },
}

impl Action {
    /// Moves an amount, at once or, when it is `pending`, later: reserved until it is ended or its time is over.
    ///
    /// # Errors
    /// `ledger.expiry_without_pending`; `ledger.invalid_expiry` for none of a second.
    pub fn moving(
        accounts: (AccountId, AccountId),
        amount: Amount,
        asset: Option<AssetCode>,
        pending: bool,
        expires_in_s: Option<u32>,
    ) -> Result<Action> {
        let (debit, credit) = accounts;
        match (pending, expires_in_s) {
            (false, Some(_)) => Err(error::expiry_without_pending()),
            (true, Some(0)) => Err(error::invalid_expiry()),
            (false, None) => Ok(Action::Transfer { debit, credit, amount, asset }),
            (true, expires_in_s) => {
                let expires_in_s = expires_in_s.unwrap_or_default();
                Ok(Action::Pending { debit, credit, amount, asset, expires_in_s })
            }
        }
    }
}

/// A transfer as its sender gives it: no JSON, no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTransfer {
    /// Its id, from the sender.
    pub id: TransferId,
    /// What it is to do.
    pub action: Action,
}

/// A frame with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The number: frames are counted from 0.
    pub number: u64,
    /// The frame.
    pub frame: Frame,
}

/// What was recorded before, whether it is committed or is to be committed in the same page.
pub trait History {
    /// The frame that has this id as its own: a transfer, an end of a pending transfer, or a rejection.
    fn created(&self, id: TransferId) -> Option<Recorded>;
    /// The frame that ended this pending transfer.
    fn resolved(&self, id: TransferId) -> Option<Recorded>;
}

impl NewTransfer {
    /// What is wrong with it whatever the state, its id aside.
    pub fn flaw(&self) -> Option<Rejection> {
        match self.action {
            Action::Transfer { debit, credit, .. } | Action::Pending { debit, credit, .. }
                if debit == credit =>
            {
                Some(Rejection::SameAccounts)
            }
            Action::Transfer { amount, .. }
            | Action::Pending { amount, .. }
            | Action::Post { amount: Some(amount), .. }
                if amount == Amount::ZERO =>
            {
                Some(Rejection::ZeroAmount)
            }
            _ => None,
        }
    }
}

/// The decision over one transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is applied: this is its frame.
    Applied(Frame),
    /// It was applied before, with the same fields.
    Exists(Recorded),
    /// It is refused.
    Rejected(Rejection),
}

/// An account in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What it counts.
    pub asset: AssetCode,
    /// The least it may hold, reserved debits deducted; `None`: no floor.
    pub floor: Option<Balance>,
    /// What it holds.
    pub held: Balances,
    /// The sum of its pending debits.
    pub reserved: Amount,
}

/// A pending transfer that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub id: TransferId,
    /// The number of its frame.
    pub number: u64,
    /// The ordinal of the account that gives.
    pub debit: u32,
    /// The ordinal of the account that receives.
    pub credit: u32,
    /// What is reserved.
    pub amount: Amount,
    /// When it is released by itself.
    pub expires_at: Option<Timestamp>,
}

impl Pending {
    /// Of its frame.
    pub fn of(number: u64, frame: &Frame) -> Pending {
        let expires_at = (frame.count > 0)
            .then(|| frame.time.plus(std::time::Duration::from_secs(u64::from(frame.count))));
        Pending {
            id: frame.transfer_id(),
            number,
            debit: frame.debit,
            credit: frame.credit,
            amount: frame.amount,
            expires_at,
        }
    }
}

#[derive(Clone)]
enum Undo {
    Account(u32, Account),
    Opened(TransferId),
    Ended(Pending),
}

/// Accounts and open pending transfers.
#[derive(Clone, Default)]
pub struct State {
    accounts: Vec<Account>,
    ordinals: HashMap<RawId, u32, IdHash>,
    open: BTreeMap<TransferId, Pending>,
    expiries: BTreeSet<(Timestamp, u64, TransferId)>,
    undo: Option<Vec<Undo>>,
}

impl State {
    /// The accounts, by ordinal.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The ordinal of an account.
    pub fn ordinal(&self, id: AccountId) -> Option<u32> {
        self.ordinals.get(&id.0).copied()
    }

    /// The account with this ordinal.
    pub fn account(&self, ordinal: u32) -> Option<&Account> {
        self.accounts.get(ordinal as usize)
    }

    /// Pending transfers that have not ended, by id.
    pub fn open(&self) -> impl ExactSizeIterator<Item = &Pending> {
        self.open.values()
    }

    /// Whether this pending transfer has not ended.
    pub fn is_open(&self, id: TransferId) -> bool {
        self.open.contains_key(&id)
    }

    /// When the next pending transfer expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(at, ..)| *at)
    }

    /// Opens an account; `None` when its id is taken or there are too many.
    pub fn open_account(
        &mut self,
        id: AccountId,
        asset: AssetCode,
        floor: Option<Balance>,
    ) -> Option<AccountFrame> {
        let ordinal = u32::try_from(self.accounts.len()).ok().filter(|ordinal| *ordinal < u32::MAX)?;
        if self.ordinals.contains_key(&id.0) {
            return None;
        }
        let account = AccountFrame { id, ordinal, asset, floor };
        self.insert_account(Account { id, asset, floor, held: Balances::default(), reserved: Amount::ZERO });
        Some(account)
    }

    /// Adds an account with the next ordinal: when the ledger is loaded.
    pub fn insert_account(&mut self, account: Account) {
        self.ordinals.insert(account.id.0, self.accounts.len() as u32);
        self.accounts.push(account);
    }

    /// Adds a pending transfer: when the ledger is loaded. `None` when an account is missing.
    pub fn insert_pending(&mut self, pending: Pending) -> Option<()> {
        let account = self.accounts.get_mut(pending.debit as usize)?;
        account.reserved = account.reserved.checked_add(pending.amount)?;
        self.remember(pending);
        Some(())
    }

    /// Decides over a transfer, and applies it when nothing speaks against it.
    pub fn decide(
        &mut self,
        new: &NewTransfer,
        time: Timestamp,
        number: u64,
        history: &impl History,
    ) -> Decision {
        if let Some(decision) = self.known(new, history) {
            return decision;
        }
        if let Some(flaw) = new.flaw() {
            return Decision::Rejected(flaw);
        }
        match self.transfer(new, time, number, history) {
            Ok(frame) => Decision::Applied(frame),
            Err(rejection) => Decision::Rejected(rejection),
        }
    }

    /// The decision over a transfer whose id cannot be used (again); `None` when it can.
    pub fn known(&self, new: &NewTransfer, history: &impl History) -> Option<Decision> {
        if new.id.0.0 == [0; 16] || new.id.0.0 == [0xff; 16] {
            return Some(Decision::Rejected(Rejection::InvalidId));
        }
        let existing = history.created(new.id)?;
        Some(match self.compare(&existing.frame, new, history) {
            Ok(()) => Decision::Exists(existing),
            Err(difference) => Decision::Rejected(difference),
        })
    }

    /// Releases the next pending transfer whose time is over at `time`.
    pub fn expire(&mut self, time: Timestamp) -> Option<(TransferId, Frame)> {
        let (_, _, id) = self.expiries.first().copied().filter(|(at, ..)| *at <= time)?;
        let pending = *self.open.get(&id)?;
        self.end(&pending, Kind::Expire, RawId([0; 16]), Amount::ZERO, time).ok().map(|frame| (id, frame))
    }

    /// From here on changes can be taken back.
    pub fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Keeps the changes since [`State::begin`].
    pub fn keep(&mut self) {
        self.undo = None;
    }

    /// Takes the changes since [`State::begin`] back.
    pub fn take_back(&mut self) {
        for undo in self.undo.take().unwrap_or_default().into_iter().rev() {
            match undo {
                Undo::Account(ordinal, account) => {
                    if let Some(place) = self.accounts.get_mut(ordinal as usize) {
                        *place = account;
                    }
                }
                Undo::Opened(id) => {
                    self.forget(id);
                }
                Undo::Ended(pending) => self.remember(pending),
            }
        }
    }

    /// Applies a frame that was committed: when the ledger is loaded. The balances are those of the frame,
    /// so a newer snapshot of accounts does no harm. `ended` is the pending transfer that the frame ends.
    /// `None` when the frame does not fit the state.
    pub fn replay(&mut self, number: u64, frame: &Frame, ended: Option<TransferId>) -> Option<()> {
        if let Some(opened) = AccountFrame::from_frame(frame) {
            if opened.ordinal as usize == self.accounts.len() {
                self.open_account(opened.id, opened.asset, opened.floor)?;
            }
            return (self.ordinal(opened.id) == Some(opened.ordinal)).then_some(());
        }
        if !frame.kind.moves() {
            return Some(());
        }
        match frame.kind {
            Kind::Pending => self.insert_pending(Pending::of(number, frame))?,
            kind if kind.resolves() => {
                let pending = *self.open.get(&ended?)?;
                self.forget(pending.id)?;
                let account = self.accounts.get_mut(pending.debit as usize)?;
                account.reserved = account.reserved.checked_sub(pending.amount)?;
            }
            _ => {}
        }
        self.accounts.get_mut(frame.debit as usize)?.held = frame.debit_after;
        self.accounts.get_mut(frame.credit as usize)?.held = frame.credit_after;
        Some(())
    }

    fn compare(&self, existing: &Frame, new: &NewTransfer, history: &impl History) -> Result<(), Rejection> {
        use Rejection as R;
        let unless = |same: bool, rejection: R| if same { Ok(()) } else { Err(rejection) };
        let kind = match new.action {
            Action::Transfer { .. } => Kind::Transfer,
            Action::Pending { .. } => Kind::Pending,
            Action::Post { .. } => Kind::Post,
            Action::Void { .. } => Kind::Void,
        };
        unless(existing.kind != Kind::Rejected, R::IdAlreadyFailed)?;
        unless(existing.kind == kind, R::ExistsWithDifferentKind)?;
        match new.action {
            Action::Transfer { debit, credit, amount, asset }
            | Action::Pending { debit, credit, amount, asset, .. } => {
                let seconds = match new.action {
                    Action::Pending { expires_in_s, .. } => expires_in_s,
                    _ => 0,
                };
                let counted = self.account(existing.debit).map(|account| account.asset);
                unless(existing.count == seconds, R::ExistsWithDifferentExpiry)?;
                unless(self.ordinal(debit) == Some(existing.debit), R::ExistsWithDifferentDebitAccount)?;
                unless(self.ordinal(credit) == Some(existing.credit), R::ExistsWithDifferentCreditAccount)?;
                unless(asset.is_none() || asset == counted, R::ExistsWithDifferentAsset)?;
                unless(existing.amount == amount, R::ExistsWithDifferentAmount)
            }
            Action::Post { pending, .. } | Action::Void { pending } => {
                let held = history.created(pending).filter(|held| held.number == existing.reference);
                let held = held.ok_or(R::ExistsWithDifferentPending)?;
                let amount = match new.action {
                    Action::Post { amount, .. } => amount.unwrap_or(held.frame.amount),
                    _ => existing.amount,
                };
                unless(existing.amount == amount, R::ExistsWithDifferentAmount)
            }
        }
    }

    fn transfer(
        &mut self,
        new: &NewTransfer,
        time: Timestamp,
        number: u64,
        history: &impl History,
    ) -> Result<Frame, Rejection> {
        match new.action {
            Action::Transfer { debit, credit, amount, asset } => {
                let (debit, credit) = self.parties(debit, credit, asset)?;
                self.post(Kind::Transfer, new.id.0, debit, credit, amount, time)
            }
            Action::Pending { debit, credit, amount, asset, expires_in_s } => {
                let (debit, credit) = self.parties(debit, credit, asset)?;
                let frame = self.reserve(new.id.0, debit, credit, amount, expires_in_s, time)?;
                self.note(|| Undo::Opened(new.id));
                self.remember(Pending::of(number, &frame));
                Ok(frame)
            }
            Action::Post { pending, amount } => {
                let held = self.pending(pending, amount, history)?;
                self.end(&held, Kind::Post, new.id.0, amount.unwrap_or(held.amount), time)
            }
            Action::Void { pending } => {
                let held = self.pending(pending, None, history)?;
                self.end(&held, Kind::Void, new.id.0, Amount::ZERO, time)
            }
        }
    }

    /// The two accounts of a new transfer.
    fn parties(
        &self,
        debit: AccountId,
        credit: AccountId,
        asset: Option<AssetCode>,
    ) -> Result<(u32, u32), Rejection> {
        let find = |id: AccountId| {
            let ordinal = self.ordinal(id)?;
            self.account(ordinal).map(|account| (ordinal, account.asset))
        };
        let (debit, given) = find(debit).ok_or(Rejection::DebitAccountNotFound)?;
        let (credit, taken) = find(credit).ok_or(Rejection::CreditAccountNotFound)?;
        if given != taken {
            return Err(Rejection::DifferentAssets);
        }
        if asset.is_some_and(|asset| asset != given) {
            return Err(Rejection::AssetMismatch);
        }
        Ok((debit, credit))
    }

    /// The open pending transfer that is to end.
    fn pending(
        &self,
        id: TransferId,
        amount: Option<Amount>,
        history: &impl History,
    ) -> Result<Pending, Rejection> {
        let exceeds = |reserved: Amount| amount.is_some_and(|amount| amount > reserved);
        if let Some(open) = self.open.get(&id) {
            return if exceeds(open.amount) { Err(Rejection::ExceedsPendingAmount) } else { Ok(*open) };
        }
        let created = history.created(id).ok_or(Rejection::PendingNotFound)?.frame;
        match (created.kind, history.resolved(id).map(|end| end.frame.kind)) {
            (Kind::Rejected, _) => Err(Rejection::PendingNotFound),
            (Kind::Pending, _) if exceeds(created.amount) => Err(Rejection::ExceedsPendingAmount),
            (Kind::Pending, Some(Kind::Post)) => Err(Rejection::AlreadyPosted),
            (Kind::Pending, Some(Kind::Void)) => Err(Rejection::AlreadyVoided),
            (Kind::Pending, Some(Kind::Expire)) => Err(Rejection::Expired),
            _ => Err(Rejection::NotPending),
        }
    }

    fn post(
        &mut self,
        kind: Kind,
        id: RawId,
        debit: u32,
        credit: u32,
        amount: Amount,
        time: Timestamp,
    ) -> Result<Frame, Rejection> {
        let (mut giver, mut taker) = self.pair(debit, credit)?;
        giver.held.posted = giver.held.posted.debit(amount).ok_or(Rejection::Overflow)?;
        taker.held.posted = taker.held.posted.credit(amount).ok_or(Rejection::Overflow)?;
        if is_below_floor(&giver) {
            return Err(Rejection::InsufficientFunds);
        }
        Ok(self.record(Frame::blank(kind, id, time), (debit, giver), (credit, taker), amount))
    }

    fn reserve(
        &mut self,
        id: RawId,
        debit: u32,
        credit: u32,
        amount: Amount,
        expires_in_s: u32,
        time: Timestamp,
    ) -> Result<Frame, Rejection> {
        let (mut giver, mut taker) = self.pair(debit, credit)?;
        giver.held.pending = giver.held.pending.debit(amount).ok_or(Rejection::Overflow)?;
        giver.reserved = giver.reserved.checked_add(amount).ok_or(Rejection::Overflow)?;
        taker.held.pending = taker.held.pending.credit(amount).ok_or(Rejection::Overflow)?;
        if is_below_floor(&giver) {
            return Err(Rejection::InsufficientFunds);
        }
        let mut frame = Frame::blank(Kind::Pending, id, time);
        frame.count = expires_in_s;
        Ok(self.record(frame, (debit, giver), (credit, taker), amount))
    }

    /// Ends a pending transfer: releases what is reserved and moves `amount`. Never below the floor,
    /// because at most what was reserved moves.
    fn end(
        &mut self,
        pending: &Pending,
        kind: Kind,
        id: RawId,
        amount: Amount,
        time: Timestamp,
    ) -> Result<Frame, Rejection> {
        let (mut giver, mut taker) = self.pair(pending.debit, pending.credit)?;
        giver.held.pending = giver.held.pending.credit(pending.amount).ok_or(Rejection::Overflow)?;
        giver.reserved = giver.reserved.checked_sub(pending.amount).ok_or(Rejection::Overflow)?;
        taker.held.pending = taker.held.pending.debit(pending.amount).ok_or(Rejection::Overflow)?;
        giver.held.posted = giver.held.posted.debit(amount).ok_or(Rejection::Overflow)?;
        taker.held.posted = taker.held.posted.credit(amount).ok_or(Rejection::Overflow)?;
        self.note(|| Undo::Ended(*pending));
        self.forget(pending.id);
        let mut frame = Frame::blank(kind, id, time);
        frame.reference = pending.number;
        Ok(self.record(frame, (pending.debit, giver), (pending.credit, taker), amount))
    }

    fn pair(&self, debit: u32, credit: u32) -> Result<(Account, Account), Rejection> {
        let giver = self.account(debit).ok_or(Rejection::DebitAccountNotFound)?;
        let taker = self.account(credit).ok_or(Rejection::CreditAccountNotFound)?;
        Ok((*giver, *taker))
    }

    /// Stores both accounts, and completes the frame with them.
    fn record(
        &mut self,
        mut frame: Frame,
        (debit, giver): (u32, Account),
        (credit, taker): (u32, Account),
        amount: Amount,
    ) -> Frame {
        for (ordinal, account) in [(debit, giver), (credit, taker)] {
            if let Some(place) = self.accounts.get_mut(ordinal as usize) {
                let before = std::mem::replace(place, account);
                self.note(|| Undo::Account(ordinal, before));
            }
        }
        frame.amount = amount;
        (frame.debit, frame.debit_after) = (debit, giver.held);
        (frame.credit, frame.credit_after) = (credit, taker.held);
        frame
    }

    fn note(&mut self, undo: impl FnOnce() -> Undo) {
        if let Some(list) = &mut self.undo {
            list.push(undo());
        }
    }

    fn remember(&mut self, pending: Pending) {
        if let Some(at) = pending.expires_at {
            self.expiries.insert((at, pending.number, pending.id));
        }
        self.open.insert(pending.id, pending);
    }

    fn forget(&mut self, id: TransferId) -> Option<()> {
        let pending = self.open.remove(&id)?;
        if let Some(at) = pending.expires_at {
            self.expiries.remove(&(at, pending.number, id));
        }
        Some(())
    }
}

/// What is reserved is spent already: it counts against the floor.
fn is_below_floor(account: &Account) -> bool {
    account.floor.is_some_and(|floor| {
        #[cfg(feature = "planted-faults")]
        if crate::planted::is_active(crate::planted::Plant::FloorOffByOne) {
            let available = account.held.posted.debit(account.reserved);
            return available.is_none_or(|available| available.minor() + 1 < floor.minor());
        }
        account.held.posted.debit(account.reserved).is_none_or(|available| available < floor)
    })
}
