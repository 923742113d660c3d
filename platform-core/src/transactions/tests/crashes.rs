//! Random histories with crashes, reopenings and failing commits.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::kernel::{BoxFuture, Event, EventPosition};
use crate::ports::runtime::Runtime;
use crate::ports::store::flaky;
use crate::transactions::conformance::{Fault, Faults, FlakyStore, Ground, history, hold};

/// A store in memory, into which a second process may come.
struct Memory {
    world: World,
    faults: Faults,
}

impl Ground for Memory {
    fn open(&self) -> BoxFuture<'_, Result<Transactions>> {
        Box::pin(async {
            let store = Arc::clone(&self.world.store);
            let store = FlakyStore::new(store, self.runtime(), self.faults.clone());
            self.world.over(Arc::new(store)).await
        })
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        self.world.sim.runtime()
    }

    fn intrude(&self, transfer: TransferRequest) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let other = self.world.over(Arc::clone(&self.world.store)).await.unwrap();
            other.transfer(&system(), &transfer).await.unwrap();
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_was_acknowledged_is_there_once_and_every_prefix_balances(
        choices in proptest::collection::vec(any::<u64>(), 1..200),
        seed in any::<u64>(),
    ) {
        let ground = Memory { world: World::new(seed), faults: Faults::default() };
        ground.world.run(hold(&ground, &history(&choices)));
    }
}

#[test]
fn a_refused_commit_is_told_and_the_next_one_works() {
    let world = World::new(2);
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime(), Faults::default()));
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
fn an_expiry_that_cannot_be_written_is_tried_again_in_its_time_and_not_at_once() {
    let world = World::new(2);
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime(), Faults::default()));
    let domain = world.open_on(flaky.clone());
    let (bank, ada) = (world.account(&domain, "EUR", None), world.account(&domain, "EUR", None));
    world.run(domain.transfer(&system(), &reserve(bank, ada, "1", Some(1)))).unwrap();
    flaky.next(&[Fault::Refused; 100]);
    world.run(world.sim.runtime().sleep(Duration::from_secs(5)));
    assert_eq!(world.held(&domain, ada).1, "1.00", "a hundred attempts in five seconds");
    flaky.next(&[]);
    world.run(world.sim.runtime().sleep(Duration::from_secs(2)));
    assert_eq!(world.held(&domain, ada).1, "0.00");
}

#[test]
fn a_commit_without_an_answer_is_settled_by_what_is_stored() {
    let world = World::new(2);
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime(), Faults::default()));
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
fn an_account_whose_page_came_late_is_opened_once_and_answered() {
    let world = World::new(2);
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime(), Faults::default()));
    let domain = world.open_on(flaky.clone());
    let new = NewAccount { asset: "EUR".into(), name: None, min_balance: None, owner: None };
    for context in [system(), keyed("a")] {
        flaky.next(&[Fault::Late]);
        let opened = world.run(domain.open_account(&context, &new)).unwrap();
        assert_eq!(world.held(&domain, opened.id).0, "0.00");
    }
    let outbox = world.run(domain.db.store.outbox(EventPosition::START, 100)).unwrap();
    let events = outbox.iter().map(|(_, json)| Event::from_json(json).unwrap());
    assert_eq!(events.filter(|event| event.event_type == "transactions.account_opened").count(), 2);
    assert_eq!(domain.check(&system()).unwrap().accounts, 2);
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
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime(), Faults::default()));
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
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.store), world.sim.runtime(), Faults::default()));
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

#[test]
fn a_load_while_another_node_writes_checkpoints_begins_anew() {
    let world = World::new(3);
    let domain = world.open();
    let (from, to) = (world.account(&domain, "EUR", None), world.account(&domain, "EUR", None));
    let slow = Arc::new(flaky::FlakyStore::new(Arc::clone(&world.store), world.sim.runtime()));
    slow.read_slowly(Duration::from_millis(1));
    for _ in 0..20 {
        let busy = async {
            for _ in 0..100 {
                domain.transfer(&system(), &reserve(from, to, "0.01", None)).await.unwrap();
                world.sim.runtime().sleep(Duration::from_micros(100)).await;
            }
        };
        let db = Database {
            store: Arc::clone(&slow) as _,
            runtime: world.sim.runtime(),
            keys: Arc::clone(&world.keys) as _,
        };
        let load = Transactions::over(db, world.config, true);
        let (_, loaded) = world.run(futures_util::future::join(busy, load));
        loaded.unwrap();
    }
}
