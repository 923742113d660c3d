//! Runs a history and holds the ledger to its promises.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{join_all, select};

use super::history::{ACCOUNTS, Kind};
use super::{Ground, Sent, Step, transfer_id};
use crate::kernel::{AccountId, Amount, Balance, Context, TransferId};
use crate::transactions::ledger::frame::{AccountFrame, Kind as FrameKind};
use crate::transactions::ledger::page::Outcome;
use crate::transactions::ledger::state::{Action, NewTransfer};
use crate::transactions::{NewAccount, Transactions, Transfer, TransferRequest};

/// What was acknowledged: the request, and the transfer as it was read then.
type Acknowledged = BTreeMap<TransferId, (NewTransfer, Transfer)>;

/// Runs a history. Whatever happens in it:
/// - what was acknowledged is there, as it was, and only once, also when it is sent again;
/// - Σ debits = Σ credits and every floor holds after every frame, and every stored balance is what
///   the frames come to;
/// - a balance as of any moment is that after the last frame until then.
///
/// # Panics
/// When one of them does not hold.
pub async fn hold(ground: &dyn Ground, steps: &[Step]) {
    let mut ledger = ground.open().await.unwrap();
    let mut accounts = Vec::new();
    for (asset, floor) in ACCOUNTS {
        let new = NewAccount {
            asset: asset.into(),
            name: None,
            min_balance: floor.map(str::to_owned),
            owner: None,
        };
        accounts.push(ledger.open_account(&Context::system(), &new).await.unwrap().id);
    }
    let mut acknowledged = Acknowledged::new();
    for step in steps {
        match step {
            Step::Send(batches) => send(&ledger, &accounts, batches, &mut acknowledged).await,
            Step::Wait(ms) => ground.runtime().sleep(Duration::from_millis(*ms)).await,
            Step::Crash(batches) => {
                let mut heard = Acknowledged::new();
                {
                    let sending = pin!(send(&ledger, &accounts, batches, &mut heard));
                    let moment = ground.runtime().sleep(Duration::from_micros(1_500));
                    drop(select(sending, moment).await);
                }
                acknowledged.extend(heard);
                ground.faults().next(&[]);
                drop(ledger);
                ledger = ground.open().await.unwrap();
            }
            Step::Fail(faults) => ground.faults().next(faults),
            Step::Intrude(number) => {
                let transfer = TransferRequest {
                    id: Some(transfer_id(*number)),
                    debit_account: accounts[0],
                    credit_account: accounts[2],
                    asset: "EUR".into(),
                    amount: "0.01".into(),
                    pending: false,
                    expires_in_s: None,
                };
                ground.intrude(transfer).await;
            }
        }
    }
    ground.faults().next(&[]);
    drop(ledger);
    let ledger = ground.open().await.unwrap();
    for (id, (request, transfer)) in acknowledged {
        assert_eq!(ledger.read_transfer(&Context::system(), id).await.unwrap(), transfer);
        let again = ledger.submit(&Context::system(), vec![request], false).await.unwrap();
        assert!(matches!(&again[..], [Outcome::Exists(_)]), "{id}: {again:?}");
    }
    every_prefix_holds(&ledger, &accounts).await;
}

async fn send(
    ledger: &Transactions,
    accounts: &[AccountId],
    batches: &[(Vec<Sent>, bool)],
    acknowledged: &mut Acknowledged,
) {
    let context = Context::system();
    let batches: Vec<(Vec<NewTransfer>, bool)> = batches
        .iter()
        .map(|(items, linked)| (items.iter().map(|item| request(accounts, item)).collect(), *linked))
        .collect();
    let sent = batches.iter().map(|(items, linked)| ledger.submit(&context, items.clone(), *linked));
    let answers = join_all(sent).await;
    for ((items, _), outcomes) in batches.iter().zip(answers) {
        for (item, outcome) in items.iter().zip(outcomes.into_iter().flatten()) {
            let Outcome::Created(recorded) = outcome else { continue };
            if recorded.frame.kind != FrameKind::Transfer {
                continue;
            }
            let id = recorded.frame.transfer_id();
            let read = ledger.read_transfer(&context, id).await.unwrap();
            assert_eq!(read.created_at, recorded.frame.time);
            assert!(acknowledged.insert(id, (*item, read)).is_none(), "{id} was acknowledged twice");
        }
    }
}

fn request(accounts: &[AccountId], sent: &Sent) -> NewTransfer {
    let (debit, credit) = (accounts[sent.debit], accounts[sent.credit]);
    let amount = Amount::from_minor(u128::from(sent.amount)).unwrap();
    let action = match sent.kind {
        Kind::Now => Action::Transfer { debit, credit, amount, asset: None },
        Kind::Pending(expires_in_s) => Action::Pending { debit, credit, amount, asset: None, expires_in_s },
        Kind::Post(held) => Action::Post { pending: transfer_id(held), amount: Some(amount) },
        Kind::Void(held) => Action::Void { pending: transfer_id(held) },
    };
    NewTransfer { id: transfer_id(sent.number), action }
}

/// Folds the frames one by one.
async fn every_prefix_holds(ledger: &Transactions, accounts: &[AccountId]) {
    let context = Context::system();
    let check = ledger.check(&context).unwrap();
    assert!(check.balanced);
    assert_eq!(ledger.verify(&context).await.unwrap().frames, check.frames);
    let frames = ledger.ledger.reader().stretch(0, check.frames).await.unwrap();
    assert_eq!(frames.len() as u64, check.frames);
    let mut held: BTreeMap<u32, (i128, i128)> = BTreeMap::new();
    let mut floors: BTreeMap<u32, Balance> = BTreeMap::new();
    for recorded in &frames {
        let frame = &recorded.frame;
        if let Some(opened) = AccountFrame::from_frame(frame) {
            floors.extend(opened.floor.map(|floor| (opened.ordinal, floor)));
        }
        if !frame.kind.moves() {
            continue;
        }
        for (account, after) in [(frame.debit, frame.debit_after), (frame.credit, frame.credit_after)] {
            held.insert(account, (after.posted.minor(), after.pending.minor()));
            let floor = floors.get(&account);
            assert!(floor.is_none_or(|floor| *floor <= after.posted), "frame {}", recorded.number);
        }
        let sums = held.values().fold((0, 0), |sums, held| (sums.0 + held.0, sums.1 + held.1));
        assert_eq!(sums, (0, 0), "after frame {}", recorded.number);
        if recorded.number.is_multiple_of(11) {
            let id = accounts[frame.debit as usize];
            let then = ledger.account(&context, id, Some(frame.time)).await.unwrap();
            assert_eq!(then.posted, frame.debit_after.posted.format(2));
            assert_eq!(then.pending, frame.debit_after.pending.format(2));
        }
    }
}
