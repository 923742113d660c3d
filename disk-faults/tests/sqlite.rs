//! Stores on SQLite on failing disks, through a VFS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use embedded_store::Engine;
use support::ground::Ground;
use support::ledger::Bank;
use support::script::Size;
use support::stores::{Subject, losses, one};
use support::sweep::{Counts, all, block_on, factor, first_seed, plans, seldom};

const SIZE: Size = Size { groups: 8, block: 6_000 };

#[test]
fn every_call_may_fail_and_the_power_may_be_lost_at_any_moment() {
    let begun = std::time::Instant::now();
    let ground = Ground::vfs();
    let mut total = Counts::default();
    for seed in first_seed()..first_seed() + 14 * factor() {
        let subject = block_on(Subject::new(&ground, Engine::Sqlite, seed, SIZE));
        let calls = block_on(subject.run(None, Vec::new())).unwrap().calls;
        total.add(losses(&subject, calls.len() as u64).unwrap());
        let jobs = seldom(plans(&calls), seed, 1);
        total.add(all(&jobs, |((plan, call), number)| one(&subject, plan, *number, *call)));
    }
    total.tell("SQLite behind a VFS", begun);
    assert!(total.faults >= 10_000 * factor() && total.images >= 500 * factor(), "{total:?}");
}

/// The whole platform: many stores in one folder, with their workers, and the ledger in front.
#[test]
fn a_ledger_keeps_every_transfer_that_it_acknowledged() {
    let begun = std::time::Instant::now();
    let ground = Ground::vfs();
    let bank = block_on(Bank::new(&ground));
    let plans = plans(&block_on(bank.run(None)).unwrap().calls);
    let stride = (plans.len() / (60 * factor() as usize)).max(1);
    let total = all(&seldom(plans, first_seed(), stride), |((plan, call), _)| {
        let ran = block_on(bank.run(Some(plan))).map_err(|found| format!("{plan:?} {call:?}: {found}"))?;
        Ok(Counts { faults: u64::from(ran.fired > 0), images: 0 })
    });
    total.tell("the platform", begun);
    assert!(total.faults >= 40, "{total:?}");
}
