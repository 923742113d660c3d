//! Random histories with crashes, reopenings and failing commits.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::flaky::{Fault, FlakyStore};
use super::*;
use crate::transactions::ledger::page::Outcome;

/// Number, debit, credit, amount, kind.
type Sent = (u64, u8, u8, u32, Kind);

#[derive(Debug, Clone)]
enum Step {
    /// Batches at the same moment.
    Send(Vec<(Vec<Sent>, bool)>),
    Wait(u32),
    /// Everything in memory is forgotten.
    Crash,
    /// How the next commits end.
    Fail(Vec<Fault>),
    /// A second process opens the same store and moves something: the first must notice.
    Intruder(u64),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Now,
    Pending(Option<u32>),
    Post(u64),
    Void(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        4 => Just(Kind::Now),
        2 => proptest::option::of(1..5u32).prop_map(Kind::Pending),
        2 => (0..200u64).prop_map(Kind::Post),
        1 => (0..200u64).prop_map(Kind::Void),
    ];
    let transfer = (0..200u64, 0..4u8, 0..4u8, 0..50u32, kind);
    let fault =
        prop_oneof![Just(Fault::None), Just(Fault::Refused), Just(Fault::Lost), Just(Fault::AppliedSilently)];
    let step = prop_oneof![
        12 => proptest::collection::vec((proptest::collection::vec(transfer, 1..12), any::<bool>()), 1..5)
            .prop_map(Step::Send),
        1 => (1..4u32).prop_map(Step::Wait),
        2 => Just(Step::Crash),
        2 => proptest::collection::vec(fault, 1..4).prop_map(Step::Fail),
        1 => (1_000..2_000u64).prop_map(Step::Intruder),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_was_acknowledged_is_there_once_and_the_ledger_balances(steps in steps(), seed in any::<u64>()) {
        let world = World::new(seed);
        let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime()));
        let mut domain = world.open_on(flaky.clone());
        let accounts = [
            world.account(&domain, "EUR", None),
            world.account(&domain, "EUR", Some("0")),
            world.account(&domain, "EUR", Some("-0.30")),
            world.account(&domain, "USD", None),
        ];
        let mut acknowledged: BTreeMap<TransferId, Transfer> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Send(batches) => {
                    let context = system();
                    let sent = batches.into_iter().map(|(items, linked)| {
                        let transfers = items.into_iter().map(|item| new_transfer(&accounts, item)).collect();
                        domain.submit(&context, transfers, linked)
                    });
                    let answers = world.run(futures_util::future::join_all(sent));
                    for outcome in answers.into_iter().flatten().flatten() {
                        if let Outcome::Created(recorded) = outcome
                            && matches!(recorded.frame.kind, crate::transactions::ledger::frame::Kind::Transfer)
                        {
                            let id = recorded.frame.transfer_id();
                            let read = world.run(domain.read_transfer(&system(), id)).unwrap();
                            prop_assert_eq!(read.created_at, recorded.frame.time);
                            prop_assert!(acknowledged.insert(id, read).is_none(), "acknowledged twice");
                        }
                    }
                }
                Step::Wait(seconds) => {
                    world.run(world.sim.runtime().sleep(Duration::from_secs(u64::from(seconds))));
                }
                Step::Crash => {
                    flaky.next(&[]);
                    domain = world.open_on(flaky.clone());
                }
                Step::Fail(faults) => flaky.next(&faults),
                Step::Intruder(number) => {
                    let other = world.open();
                    let request = with_id(request(accounts[0], accounts[2], "0.01"), number);
                    world.run(other.transfer(&system(), &request)).unwrap();
                }
            }
        }
        flaky.next(&[]);
        domain = world.open_on(flaky);
        for (id, transfer) in acknowledged {
            prop_assert_eq!(world.run(domain.read_transfer(&system(), id)).unwrap(), transfer);
        }
        prop_assert!(domain.check(&system()).unwrap().balanced);
        let verified = world.run(domain.verify(&system())).unwrap();
        // What is in memory after a load is what a fold over all frames gives.
        prop_assert_eq!(verified.frames, domain.ledger.view().read().head.next);
        for account in accounts {
            let now = world.run(domain.account(&system(), account, None)).unwrap();
            let then = world.run(domain.account(&system(), account, Some(Timestamp::MAX))).unwrap();
            prop_assert_eq!(now, then);
        }
    }
}

fn new_transfer(
    accounts: &[AccountId; 4],
    (number, debit, credit, amount, kind): Sent,
) -> ledger::state::NewTransfer {
    use crate::kernel::Amount;
    use ledger::state::{Action, NewTransfer};
    let (debit, credit) = (accounts[usize::from(debit)], accounts[usize::from(credit)]);
    let amount = Amount::from_minor(u128::from(amount)).unwrap();
    let action = match kind {
        Kind::Now => Action::Transfer { debit, credit, amount, asset: None },
        Kind::Pending(expires_in_s) => Action::Pending {
            debit,
            credit,
            amount,
            asset: None,
            expires_in_s: expires_in_s.unwrap_or_default(),
        },
        Kind::Post(held) => Action::Post { pending: id(held), amount: Some(amount) },
        Kind::Void(held) => Action::Void { pending: id(held) },
    };
    NewTransfer { id: id(number), action }
}

#[test]
fn a_refused_commit_is_told_and_the_next_one_works() {
    let world = World::new(2);
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime()));
    let domain = world.open_on(flaky.clone());
    let (bank, ada) = (world.account(&domain, "EUR", None), world.account(&domain, "EUR", None));
    flaky.next(&[Fault::Refused]);
    let refused = world.run(domain.transfer(&system(), &request(bank, ada, "1"))).unwrap_err();
    assert_eq!(refused.code(), "store.unavailable");
    assert_eq!(world.held(&domain, ada).0, "0.00");
    world.run(domain.transfer(&system(), &request(bank, ada, "1"))).unwrap();
    assert_eq!(world.held(&domain, ada).0, "1.00");
}

#[test]
fn a_commit_without_an_answer_is_settled_by_what_is_stored() {
    let world = World::new(2);
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime()));
    let domain = world.open_on(flaky.clone());
    let (bank, ada) = (world.account(&domain, "EUR", None), world.account(&domain, "EUR", None));
    for (fault, posted) in [(Fault::Lost, "1.00"), (Fault::AppliedSilently, "2.00")] {
        flaky.next(&[fault]);
        let made = world.run(domain.transfer(&system(), &request(bank, ada, "1"))).unwrap();
        assert!(!made.existed);
        assert_eq!(world.held(&domain, ada).0, posted);
    }
    world.run(domain.verify(&system())).unwrap();
}

#[test]
fn a_second_writer_is_noticed_and_its_transfers_are_seen() {
    let world = World::new(2);
    let first = world.open();
    let (bank, ada) = (world.account(&first, "EUR", None), world.account(&first, "EUR", None));
    let second = world.open();
    world.run(second.transfer(&system(), &with_id(request(bank, ada, "1"), 1))).unwrap();
    let again = world.run(first.transfer(&system(), &with_id(request(bank, ada, "1"), 1))).unwrap();
    assert!(again.existed);
    world.run(first.transfer(&system(), &request(bank, ada, "1"))).unwrap();
    world.run(second.transfer(&system(), &request(bank, ada, "1"))).unwrap();
    assert_eq!(world.held(&second, ada).0, "3.00");
    world.run(second.verify(&system())).unwrap();
}

#[test]
fn a_checkpoint_that_fails_in_the_middle_is_made_again() {
    let world = World::new(2);
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime()));
    let domain = world.open_on(flaky.clone());
    let (bank, ada) = (world.account(&domain, "EUR", None), world.account(&domain, "EUR", None));
    let batch = |n: u64| TransferBatch {
        transfers: (0..50).map(|i| with_id(request(bank, ada, "1"), n * 50 + i)).collect(),
        linked: false,
    };
    // The page is committed, and the beginning of its checkpoint, but not its end.
    flaky.next(&[Fault::None, Fault::None, Fault::Lost]);
    world.run(domain.transfer_batch(&system(), &batch(0))).unwrap();
    world.run(world.sim.runtime().sleep(Duration::from_secs(1)));
    assert_eq!(domain.ledger.view().read().runs.len(), 0);
    world.run(domain.transfer_batch(&system(), &batch(1))).unwrap();
    world.run(world.sim.runtime().sleep(Duration::from_secs(1)));
    assert_eq!(domain.ledger.view().read().runs.len(), 2);
    let again = world.run(domain.transfer_batch(&system(), &batch(0))).unwrap();
    assert!(again.items.iter().all(|item| matches!(item, BatchItem::Exists(_))));
    let reopened = world.open();
    assert_eq!(reopened.ledger.view().read().runs.len(), 2);
    assert_eq!(world.held(&reopened, ada).0, "100.00");
}

#[test]
fn a_checkpoint_that_was_written_without_an_answer_is_taken_over() {
    let world = World::new(2);
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime()));
    let domain = world.open_on(flaky.clone());
    let (bank, ada) = (world.account(&domain, "EUR", None), world.account(&domain, "EUR", None));
    let batch = TransferBatch { transfers: vec![request(bank, ada, "1"); 50], linked: false };
    flaky.next(&[Fault::None, Fault::None, Fault::AppliedSilently]);
    for runs in [0, 2] {
        world.run(domain.transfer_batch(&system(), &batch)).unwrap();
        world.run(world.sim.runtime().sleep(Duration::from_secs(1)));
        assert_eq!(domain.ledger.view().read().runs.len(), runs);
    }
    let reopened = world.open();
    assert_eq!(reopened.ledger.view().read().runs.len(), 2);
    assert_eq!(world.held(&reopened, ada).0, "100.00");
    world.run(reopened.verify(&system())).unwrap();
}
