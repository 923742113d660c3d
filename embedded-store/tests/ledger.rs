//! The ledger on a real folder: what was acknowledged is there after a reopening, once, and balances.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::path::Path;

use embedded_store::open_backends;
use platform_core::Platform;
use platform_core::kernel::{AccountId, Amount, Context, RawId, Result, TransferId};
use platform_core::transactions::ledger::page::Outcome;
use platform_core::transactions::ledger::rejection::Rejection;
use platform_core::transactions::ledger::state::{Action, NewTransfer};
use platform_core::transactions::{LedgerConfig, NewAccount, Transactions};

async fn open(path: &Path) -> Result<Platform> {
    let config = LedgerConfig { segment_frames: 2_000, early_frames: 300 };
    let platform = Platform::builder(open_backends(path, Vec::new()).await?).ledger(config).build().await?;
    platform.start().await?;
    Ok(platform)
}

/// A number that looks random (splitmix64).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

fn id(number: u64) -> TransferId {
    TransferId(RawId((u128::from(mix(number)) << 64 | u128::from(number)).to_be_bytes()))
}

fn transfer(accounts: &[AccountId], number: u64) -> NewTransfer {
    let random = mix(number + 1_000_000);
    let account = |at: u64| accounts[at as usize % accounts.len()];
    let (debit, credit) = (account(random), account(random / 7 + 1));
    let amount = Amount::from_minor(u128::from(random % 50 + 1)).unwrap();
    let action = match random % 11 {
        0 => Action::Pending { debit, credit, amount, asset: None, expires_in_s: 0 },
        1 => Action::Post { pending: id(number.saturating_sub(random % 40)), amount: None },
        2 => Action::Void { pending: id(number.saturating_sub(random % 40)) },
        _ => Action::Transfer { debit, credit, amount, asset: None },
    };
    NewTransfer { id: id(number), action }
}

async fn send(
    ledger: &Transactions,
    accounts: &[AccountId],
    numbers: std::ops::Range<u64>,
) -> Vec<(u64, Outcome)> {
    let items = numbers.clone().map(|number| transfer(accounts, number)).collect();
    let outcomes = ledger.submit(&Context::service("test"), items, false).await.unwrap();
    numbers.zip(outcomes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_survive_reopenings_once_and_balance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let context = Context::service("test");
    let mut accounts = Vec::new();
    let mut acknowledged = Vec::new();
    for round in 0..4u64 {
        let platform = open(&path).await.unwrap();
        let ledger = platform.transactions().clone();
        while accounts.len() < 20 {
            let floor = (accounts.len() % 3 == 0).then(|| "-2".to_owned());
            let new = NewAccount { asset: "EUR".into(), name: None, min_balance: floor, owner: None };
            accounts.push(ledger.open_account(&context, &new).await.unwrap().id);
        }
        // Everything from the rounds before, again: nothing is doubled.
        for (number, outcome) in &acknowledged {
            if number % 97 != 0 {
                continue;
            }
            let again = ledger.submit(&context, vec![transfer(&accounts, *number)], false).await.unwrap();
            match (outcome, &again[0]) {
                (Outcome::Created(first), Outcome::Exists(again)) => {
                    assert_eq!((first.number, first.frame.time), (again.number, again.frame.time));
                    assert_eq!(first.frame.debit_after, again.frame.debit_after);
                }
                (Outcome::Rejected(first), Outcome::Rejected(again)) => {
                    assert!(*again == Rejection::IdAlreadyFailed || (!first.is_recorded() && first == again));
                }
                other => panic!("{number}: {other:?}"),
            }
        }
        let first = round * 5_000;
        let tasks: Vec<_> = (0..5)
            .map(|task| {
                let (ledger, accounts) = (ledger.clone(), accounts.clone());
                tokio::spawn(async move {
                    let mut outcomes = Vec::new();
                    for batch in 0..10 {
                        let from = first + task * 1_000 + batch * 100;
                        outcomes.extend(send(&ledger, &accounts, from..from + 100).await);
                    }
                    outcomes
                })
            })
            .collect();
        for task in tasks {
            acknowledged.extend(task.await.unwrap());
        }
        let check = ledger.check(&context).unwrap();
        assert!(check.balanced);
        assert_eq!(ledger.verify(&context).await.unwrap().frames, check.frames);
        drop(ledger);
        platform.stop().await;
    }
    assert_eq!(acknowledged.len(), 20_000);
    assert!(
        acknowledged.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Created(_))).count() > 10_000
    );
}
