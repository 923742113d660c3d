//! The proof that the simulation finds faults: each of the planted ones, within ten thousand seeds.
#![cfg(feature = "planted-faults")]
#![allow(clippy::panic, clippy::print_stdout)]

use platform_core::planted::{Plant, plant};
use simulation::run;

/// Seeds within which a fault has to be found.
const SEEDS: u64 = 10_000;
/// Commands of a seed: fewer than in CI, since this build is not optimised.
const COMMANDS: u64 = 400;

/// Runs seeds until one fails, in one of these ways.
fn finds(fault: Plant, ways: &[&str]) {
    for seed in 1..=SEEDS {
        plant(Some(fault));
        let planted = run(seed, COMMANDS, false).violations;
        plant(None);
        if let Some(violation) = planted.first() {
            assert!(ways.iter().any(|way| violation.starts_with(way)), "{fault:?}, seed {seed}: {violation}");
            println!("{fault:?} was found by seed {seed}: {violation}");
            assert_eq!(run(seed, COMMANDS, false).violations, Vec::<String>::new(), "without it");
            return;
        }
    }
    panic!("{fault:?} was not found");
}

#[test]
fn an_inbox_mark_that_fences_nobody_is_found() {
    finds(Plant::UnfencedMark, &["inbox:", "audit:"]);
}

#[test]
fn a_retry_that_doubles_is_found() {
    finds(Plant::DoubledRetry, &["once:"]);
}

#[test]
fn a_floor_that_is_one_off_is_found() {
    finds(Plant::FloorOffByOne, &["ledger:"]);
}

#[test]
fn a_revocation_that_forgets_the_cell_is_found() {
    finds(Plant::ForgottenCell, &["revoked:"]);
}

#[test]
fn a_mail_past_its_deadline_is_found() {
    finds(Plant::DeadlineForgotten, &["mail:"]);
}
