//! The server under attack: what a healthy client notices, what memory it takes, what the attacker gets.
//!
//! `cargo run --release -p benches -- pressure [ATTACK…]`. Each attack meets a server of its own, with the
//! settings that it has by itself. Quiet and attacked spans take turns, so that both meet the same moods of
//! the machine; percentiles are those of all spans of a kind together.

#![allow(clippy::expect_used, reason = "what fails ends the measurement")]

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;
use test_support::attack::{ATTACKS, Attack, Healthy, Latencies, World, named};
use test_support::process::Process;

use crate::row::{Measured, Row};
use crate::server::program;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "logins-beside",
        what: "p99 of other requests, 200 a second, while 500 logins a second come",
        run: beside_logins,
    },
    Row {
        name: "logins-overload",
        what: "p99 of the time until a login that is too much is refused, 500 a second",
        run: refused_logins,
    },
];

/// Requests a second of the healthy client.
const RATE: u32 = 200;
/// Of each kind of span; `PRESSURE_ROUNDS` sets another number.
const ROUNDS: usize = 5;
/// One span.
const SPAN: Duration = Duration::from_secs(2);
/// From the beginning of an attack until it counts, and from its end until it is quiet.
const SETTLE: Duration = Duration::from_millis(1_500);
const REST: Duration = Duration::from_millis(500);

/// A server of its own for one attack.
struct Arena {
    process: Process,
    world: World,
    healthy: Healthy,
    _folder: TempDir,
}

/// What one attack has come to.
struct Outcome {
    quiet: Latencies,
    attacked: Latencies,
    /// Bytes of memory before the first attack, and at most.
    memory: (u64, u64),
    tally: BTreeMap<String, u64>,
    refusals: Vec<Duration>,
}

/// Measures the attacks of these names, or all.
pub(crate) fn run(names: &[String]) -> Result<(), String> {
    let mut attacks = Vec::new();
    for name in names {
        attacks.push(named(name).ok_or_else(|| format!("there is no attack {name}"))?);
    }
    let attacks = if attacks.is_empty() { ATTACKS } else { &attacks };
    println!(
        "| attack | p50, p99 quiet | p50, p99 attacked | ratio of p99 | memory, at most | what it got |"
    );
    println!("|---|---|---|---|---|---|");
    for attack in attacks {
        println!("{}", line(attack, &attacked(*attack)));
    }
    Ok(())
}

/// Every attack with its load.
pub(crate) fn list() {
    ATTACKS.iter().for_each(|attack| println!("pressure {:<23} {}", attack.name, attack.what));
}

fn attacked(attack: Attack) -> Outcome {
    let mut arena = Arena::open();
    let rounds = std::env::var("PRESSURE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    // What is made at the first use is not what is measured.
    arena.healthy.run(RATE, SPAN);
    let before = arena.process.memory();
    arena.process.forget_peak();
    let (mut quiet, mut attacked) = (Latencies::default(), Latencies::default());
    let (mut tally, mut refusals) = (BTreeMap::new(), Vec::new());
    for _ in 0..rounds {
        quiet = quiet.with(arena.healthy.run(RATE, SPAN));
        let running = attack.start(&arena.world, 100);
        sleep(SETTLE);
        attacked = attacked.with(arena.healthy.run(RATE, SPAN));
        refusals.extend(running.refusals());
        for (what, count) in running.stop() {
            *tally.entry(what).or_default() += count;
        }
        sleep(REST);
    }
    Outcome { quiet, attacked, memory: (before, arena.process.peak_memory()), tally, refusals }
}

impl Arena {
    fn open() -> Arena {
        let folder = tempfile::tempdir_in(".").expect("a folder");
        let process = Process::start(&program(), &folder.path().join("data"), &[]);
        let world = World::prepare(&process);
        let healthy = Healthy::new(&world);
        Arena { process, world, healthy, _folder: folder }
    }
}

fn line(attack: &Attack, outcome: &Outcome) -> String {
    let ms = |latency: Duration| latency.as_secs_f64() * 1e3;
    let both = |latencies: &Latencies| {
        let failed = latencies.failures.iter().map(|(what, count)| format!(", **{count} × {what}**"));
        let failed: String = failed.collect();
        format!("{:.2}, {:.2} ms{failed}", ms(latencies.percentile(50)), ms(latencies.percentile(99)))
    };
    let ratio = ms(outcome.attacked.percentile(99)) / ms(outcome.quiet.percentile(99)).max(1e-3);
    let mb = |bytes: u64| bytes / 1_000_000;
    let (before, peak) = outcome.memory;
    let got: Vec<String> = outcome.tally.iter().map(|(what, count)| format!("{count} × {what}")).collect();
    format!(
        "| `{}` | {} | {} | {ratio:.2} | {}, {} MB | {} |",
        attack.name,
        both(&outcome.quiet),
        both(&outcome.attacked),
        mb(before),
        mb(peak),
        got.join(", ")
    )
}

fn beside_logins() -> Measured {
    let outcome = attacked(named("bad-logins").expect("the attack"));
    assert!(outcome.attacked.failures.is_empty(), "{:?}", outcome.attacked.failures);
    let ms = |latencies: &Latencies| latencies.percentile(99).as_secs_f64() * 1e3;
    Measured::against(ms(&outcome.attacked), "ms", "quiet", ms(&outcome.quiet))
}

fn refused_logins() -> Measured {
    let outcome = attacked(named("bad-logins").expect("the attack"));
    let sorted = Latencies::of(outcome.refusals);
    Measured::alone(sorted.percentile(99).as_secs_f64() * 1e3, "ms")
}
