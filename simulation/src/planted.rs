//! The proof that the simulation finds faults: each of the planted ones.
//!
//! Found by the seeds 1 (a mark that fences nobody), 3 (a retry that doubles), 45 (a floor that is one off), 1 (a
//! revocation that forgets the cell) and 3 (a mail past its deadline), each counted from 1, on 2026-11-23:
//! `cargo xtask simulate --seeds 0 --planted`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use platform_core::planted::{Plant, plant};

use crate::run;

/// Seeds within which each has to be found.
pub const SEEDS: u64 = 10_000;
/// Commands of a seed.
const COMMANDS: u64 = 1_000;

/// Plants each fault and runs seeds from 1 on until one finds it; then the same seed has to pass without it.
///
/// Which invariant breaks first is said and not asked for: a retry that doubles may break the ledger's sum, leave a
/// trace of what was refused, or find its own first try in the way. That the seed passes without the fault is what
/// shows that the fault was found, and nothing else.
///
/// # Errors
/// Which fault was not found, or which seed fails without it, too.
pub fn prove(threads: usize, say: impl Fn(&str) + Sync) -> Result<(), String> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(fault) = Plant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match find(*fault) {
                        Ok(found) => say(&found),
                        Err(why) => failed.lock().map(|mut failed| failed.push(why)).unwrap_or_default(),
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_default() {
        failed if failed.is_empty() => Ok(()),
        failed => Err(failed.join("; ")),
    }
}

fn find(fault: Plant) -> Result<String, String> {
    for seed in 1..=SEEDS {
        plant(Some(fault));
        let planted = run(seed, COMMANDS, false).violations;
        plant(None);
        let Some(violation) = planted.first() else { continue };
        let without = run(seed, COMMANDS, false).violations;
        return match without.first() {
            None => Ok(format!("planted {fault:?}: found by seed {seed}, {violation}")),
            Some(violation) => Err(format!("seed {seed} fails without {fault:?}, too: {violation}")),
        };
    }
    Err(format!("planted {fault:?} was not found by {SEEDS} seeds"))
}
