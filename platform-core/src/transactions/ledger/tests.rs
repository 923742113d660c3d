//! What the ledger decides, without any store.

mod model;
mod precedence;
mod story;

use crate::kernel::{AccountId, Amount, Asset, Balance, RawId, Timestamp, TransferId};

use super::draft::Draft;
use super::frame::{AssetCode, Frame};
use super::page::{Claim, Earlier, FrameClock, Known, Opening, Outcome, PageMaker, Transfers};
use super::rejection::Rejection;
use super::state::{Action, NewTransfer, State};
use super::tail::Tail;

/// A ledger in memory, whose every request is a page of its own.
pub(super) struct Bench {
    pub(super) state: State,
    pub(super) tail: Tail,
    pub(super) now: Timestamp,
    last: Timestamp,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench {
            state: State::default(),
            tail: Tail::new(0),
            now: Timestamp::from_secs(1_000),
            last: Timestamp::EPOCH,
        }
    }

    fn page<T>(&mut self, make: impl FnOnce(&mut PageMaker<'_>, Earlier<'_>) -> T) -> T {
        let mut draft = Draft::new(self.tail.next());
        let mut clock = FrameClock::new(self.last, self.now);
        let mut maker = PageMaker { state: &mut self.state, draft: &mut draft, clock: &mut clock };
        assert!(maker.expire());
        let known = Known::default();
        let answer = make(&mut maker, Earlier { flying: None, tail: &self.tail, known: &known });
        self.last = clock.last();
        self.tail.append(&draft);
        answer
    }

    pub(super) fn open(&mut self, account: u8, asset: &str, floor: Option<i128>) {
        let opening = Opening {
            id: account_id(account),
            asset: code(asset),
            floor: floor.map(Balance::from_minor),
            claim: None,
        };
        self.page(|maker, _| maker.open(&opening)).unwrap();
    }

    pub(super) fn send(&mut self, items: &[NewTransfer], linked: bool) -> Vec<Outcome> {
        let request = Transfers { items: items.to_vec(), linked, claim: None };
        self.page(|maker, earlier| maker.transfers(&request, earlier))
    }

    pub(super) fn one(&mut self, new: NewTransfer) -> Outcome {
        self.send(&[new], false)[0]
    }

    pub(super) fn frame(&mut self, new: NewTransfer) -> Frame {
        match self.one(new) {
            Outcome::Created(recorded) => recorded.frame,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn refused(&mut self, new: NewTransfer) -> Rejection {
        match self.one(new) {
            Outcome::Rejected(rejection) => rejection,
            other => panic!("{other:?}"),
        }
    }

    /// `(posted, pending)`.
    pub(super) fn held(&self, account: u8) -> (i128, i128) {
        let account = self.state.account(self.state.ordinal(account_id(account)).unwrap()).unwrap();
        (account.held.posted.minor(), account.held.pending.minor())
    }
}

pub(super) fn account_id(number: u8) -> AccountId {
    AccountId(RawId([number; 16]))
}

pub(super) fn id(number: u64) -> TransferId {
    let mut bytes = [0x20; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TransferId(RawId(bytes))
}

pub(super) fn code(asset: &str) -> AssetCode {
    AssetCode::of(&Asset::new(asset, 2).unwrap())
}

pub(super) fn minor(amount: u128) -> Amount {
    Amount::from_minor(amount).unwrap()
}

pub(super) fn transfer(number: u64, debit: u8, credit: u8, amount: u128) -> NewTransfer {
    let action = Action::Transfer {
        debit: account_id(debit),
        credit: account_id(credit),
        amount: minor(amount),
        asset: None,
    };
    NewTransfer { id: id(number), action }
}

pub(super) fn pending(number: u64, debit: u8, credit: u8, amount: u128, expires_in_s: u32) -> NewTransfer {
    let (debit, credit, amount) = (account_id(debit), account_id(credit), minor(amount));
    NewTransfer {
        id: id(number),
        action: Action::Pending { debit, credit, amount, asset: None, expires_in_s },
    }
}

pub(super) fn post(number: u64, held: u64, amount: Option<u128>) -> NewTransfer {
    NewTransfer { id: id(number), action: Action::Post { pending: id(held), amount: amount.map(minor) } }
}

pub(super) fn void(number: u64, held: u64) -> NewTransfer {
    NewTransfer { id: id(number), action: Action::Void { pending: id(held) } }
}

pub(super) fn claim(key: u8, fingerprint: u8) -> Claim {
    Claim { key: RawId([key; 16]), fingerprint: [fingerprint; 32], made_ids: Vec::new() }
}
