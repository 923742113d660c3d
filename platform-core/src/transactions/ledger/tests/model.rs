//! Random histories against a second, naive ledger, and the invariants at every prefix.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::transactions::ledger::frame::Kind;
use crate::transactions::ledger::state::Account;

#[derive(Debug, Clone)]
enum Step {
    Send(Vec<NewTransfer>, bool),
    Wait(u32),
}

fn any_transfer() -> impl Strategy<Value = NewTransfer> {
    let number = 1..60u64;
    let accounts = (0..6u8, 0..6u8);
    prop_oneof![
        3 => (number.clone(), accounts.clone(), 0..300u128).prop_map(|(n, (d, c), amount)| transfer(n, d, c, amount)),
        2 => (number.clone(), accounts, 0..300u128, 0..4u32)
            .prop_map(|(n, (d, c), amount, seconds)| pending(n, d, c, amount, seconds)),
        2 => (number.clone(), number.clone(), proptest::option::of(0..300u128))
            .prop_map(|(n, held, amount)| post(n, held, amount)),
        1 => (number.clone(), number).prop_map(|(n, held)| void(n, held)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let send = (proptest::collection::vec(any_transfer(), 1..6), any::<bool>())
        .prop_map(|(items, linked)| Step::Send(items, linked));
    proptest::collection::vec(prop_oneof![6 => send, 1 => (1..3u32).prop_map(Step::Wait)], 1..40)
}

fn bench() -> Bench {
    let mut bench = Bench::new();
    for (account, floor) in [(1, None), (2, Some(0)), (3, Some(-100)), (4, None)] {
        bench.open(account, "EUR", floor);
    }
    bench.open(5, "USD", None);
    bench
}

/// Folds frames by their kind alone, never looking at the balances in them.
#[derive(Default)]
struct Naive {
    posted: BTreeMap<u32, i128>,
    pending: BTreeMap<u32, i128>,
    reserved: BTreeMap<u32, i128>,
    open: BTreeMap<u64, Frame>,
}

impl Naive {
    fn apply(&mut self, number: u64, frame: &Frame) {
        if !frame.kind.moves() {
            return;
        }
        let mut reserve = |frame: &Frame, sign: i128| {
            let amount = frame.amount.minor() as i128 * sign;
            *self.pending.entry(frame.debit).or_default() -= amount;
            *self.pending.entry(frame.credit).or_default() += amount;
            *self.reserved.entry(frame.debit).or_default() += amount;
        };
        match frame.kind {
            Kind::Pending => {
                reserve(frame, 1);
                self.open.insert(number, *frame);
                return;
            }
            kind if kind.resolves() => {
                let held = self.open.remove(&frame.reference).expect("a pending transfer ends once");
                assert!(frame.amount <= held.amount);
                assert_eq!((held.debit, held.credit), (frame.debit, frame.credit));
                reserve(&held, -1);
            }
            _ => {}
        }
        let amount = frame.amount.minor() as i128;
        *self.posted.entry(frame.debit).or_default() -= amount;
        *self.posted.entry(frame.credit).or_default() += amount;
    }

    fn check(&self, frame: &Frame, bench: &Bench) {
        let of = |map: &BTreeMap<u32, i128>, account: u32| map.get(&account).copied().unwrap_or_default();
        assert_eq!(self.posted.values().sum::<i128>(), 0);
        assert_eq!(self.pending.values().sum::<i128>(), 0);
        if !frame.kind.moves() {
            return;
        }
        for (account, after) in [(frame.debit, frame.debit_after), (frame.credit, frame.credit_after)] {
            assert_eq!(after.posted.minor(), of(&self.posted, account));
            assert_eq!(after.pending.minor(), of(&self.pending, account));
            if let Some(floor) = bench.state.account(account).unwrap().floor {
                assert!(of(&self.posted, account) - of(&self.reserved, account) >= floor.minor());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_prefix_balances_holds_the_floors_and_agrees_with_a_naive_ledger(steps in steps()) {
        let mut bench = bench();
        for step in &steps {
            match step {
                Step::Send(items, linked) => {
                    let outcomes = bench.send(items, *linked);
                    prop_assert_eq!(outcomes.len(), items.len());
                    if *linked {
                        let refused = outcomes.iter().filter(|o| matches!(o, Outcome::Rejected(_))).count();
                        prop_assert!(refused == 0 || refused == items.len());
                    }
                }
                Step::Wait(seconds) => bench.now = bench.now.plus(std::time::Duration::from_secs(u64::from(*seconds))),
            }
        }
        let mut naive = Naive::default();
        for (number, frame) in (0..).zip(bench.tail.active().frames()) {
            naive.apply(number, frame);
            naive.check(frame, &bench);
        }
        prop_assert!(bench.tail.active().frames().windows(2).all(|pair| pair[0].time < pair[1].time));
        prop_assert_eq!(naive.open.len(), bench.state.open().len());
    }

    #[test]
    fn replaying_the_frames_gives_the_same_state(steps in steps(), split in any::<prop::sample::Index>()) {
        let mut bench = bench();
        for step in &steps {
            match step {
                Step::Send(items, linked) => drop(bench.send(items, *linked)),
                Step::Wait(seconds) => bench.now = bench.now.plus(std::time::Duration::from_secs(u64::from(*seconds))),
            }
        }
        let frames = bench.tail.active().frames();
        let split = split.index(frames.len());
        let mut open = BTreeMap::new();
        let mut replay = |state: &mut State, numbers: std::ops::Range<usize>| {
            for (number, frame) in numbers.clone().zip(&frames[numbers]) {
                let number = number as u64;
                let ended = open.get(&frame.reference).copied().filter(|_| frame.kind.resolves());
                state.replay(number, frame, ended).expect("a frame fits");
                if frame.kind == Kind::Pending {
                    open.insert(number, frame.transfer_id());
                }
            }
        };
        let mut older = State::default();
        replay(&mut older, 0..split);
        // Pending transfers as they were, accounts as they are now: a snapshot that is too new does no harm.
        let mut state = State::default();
        for account in bench.state.accounts() {
            state.insert_account(Account { reserved: Amount::ZERO, ..*account });
        }
        for pending in older.open() {
            state.insert_pending(*pending).expect("its account is there");
        }
        replay(&mut state, split..frames.len());
        prop_assert_eq!(state.accounts(), bench.state.accounts());
        prop_assert!(state.open().eq(bench.state.open()));
        prop_assert_eq!(state.next_expiry(), bench.state.next_expiry());
    }

    #[test]
    fn sending_everything_again_changes_nothing(items in proptest::collection::vec(any_transfer(), 1..40)) {
        let mut bench = bench();
        let first = bench.send(&items, false);
        let (accounts, next) = (bench.state.accounts().to_vec(), bench.tail.next());
        let second = bench.send(&items, false);
        prop_assert_eq!(bench.state.accounts(), &accounts[..]);
        prop_assert_eq!(bench.tail.next(), next);
        for (first, second) in first.iter().zip(&second) {
            match (first, second) {
                (Outcome::Created(a) | Outcome::Exists(a), Outcome::Exists(b)) => prop_assert_eq!(a, b),
                (Outcome::Rejected(a), Outcome::Rejected(b)) if a.is_recorded() => {
                    prop_assert_eq!(*b, Rejection::IdAlreadyFailed);
                }
                (Outcome::Rejected(_), Outcome::Rejected(_)) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
