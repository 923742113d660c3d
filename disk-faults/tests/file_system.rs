//! Stores on fjall and the event log on failing disks, through a file system in user space.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use disk_faults::{Operation, Plan};
use embedded_store::Engine;
use support::ground::Ground;
use support::log::LogSubject;
use support::script::Size;
use support::stores::{Found, Subject, losses, one};
use support::sweep::{Counts, all, block_on, factor, first_seed, plans, seldom};

const SIZE: Size = Size { groups: 6, block: 40_000 };

fn stores(ground: &Ground, engine: Engine, seeds: u64, stride: usize) -> Counts {
    let begun = std::time::Instant::now();
    let mut total = Counts::default();
    for seed in first_seed()..first_seed() + seeds * factor() {
        let subject = block_on(Subject::new(ground, engine, seed, SIZE));
        let calls = block_on(subject.run(None, Vec::new())).unwrap().calls;
        total.add(losses(&subject, calls.len() as u64).unwrap());
        let jobs = seldom(plans(&calls), seed, stride);
        total.add(all(&jobs, |((plan, call), number)| one(&subject, plan, *number, *call)));
    }
    total.tell(&format!("{engine:?} in a file system"), begun);
    total
}

#[test]
fn every_call_of_a_store_on_fjall_may_fail_and_the_power_may_be_lost_at_any_moment() {
    let Some(ground) = Ground::fuse("stores on fjall on failing disks") else { return };
    let total = stores(&ground, Engine::Fjall, 3, 3);
    assert!(total.faults >= 150 * factor() && total.images >= 50 * factor(), "{total:?}");
}

fn one_of_log(subject: &LogSubject<'_>, plan: &Plan, number: u64, call: Operation) -> Found<Counts> {
    block_on(async {
        let outcome = subject.run(Some(plan), Vec::new()).await?;
        let mut counts = Counts { faults: u64::from(outcome.fired > 0), images: 0 };
        if number.is_multiple_of(8) {
            subject.check_end(number, &outcome).await?;
            counts.images += 1;
        }
        Ok(counts)
    })
    .map_err(|found: String| format!("seed {} {plan:?} {call:?}: {found}", subject.seed))
}

fn losses_of_log(subject: &LogSubject<'_>, calls: u64) -> Found<Counts> {
    block_on(async {
        let moments = (0..10).map(|at| at * calls / 10 + subject.seed % 7).collect();
        let outcome = subject.run(None, moments).await?;
        let mut counts = Counts::default();
        for loss in &outcome.losses {
            for seed in 0..5 {
                let checked = subject.check_loss(loss, seed, &outcome).await;
                checked.map_err(|found| format!("power lost before call {} ({seed}): {found}", loss.call))?;
                counts.images += 1;
            }
        }
        Ok(counts)
    })
    .map_err(|found: String| format!("seed {}: {found}", subject.seed))
}

#[test]
fn every_call_of_the_log_may_fail_and_the_power_may_be_lost_at_any_moment() {
    let Some(ground) = Ground::fuse("the log on failing disks") else { return };
    let begun = std::time::Instant::now();
    let mut total = Counts::default();
    for seed in first_seed()..first_seed() + 2 * factor() {
        // One in four with so much that tables are written out.
        let (groups, bytes) = if seed % 4 == 3 { (40, 60_000) } else { (10, 1_500) };
        let subject = LogSubject::new(&ground, seed, groups, bytes);
        let calls = block_on(subject.run(None, Vec::new())).unwrap().calls;
        total.add(losses_of_log(&subject, calls.len() as u64).unwrap());
        let jobs = seldom(plans(&calls), seed, if seed % 4 == 3 { 15 } else { 3 });
        total.add(all(&jobs, |((plan, call), number)| one_of_log(&subject, plan, *number, *call)));
    }
    total.tell("the log", begun);
    assert!(total.faults >= 150 * factor() && total.images >= 50 * factor(), "{total:?}");
}
