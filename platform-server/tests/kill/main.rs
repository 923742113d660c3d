//! kill -9, at any moment, under load over all domains: what was acknowledged is there after the restart, once;
//! what was refused is not; what was not answered can be repeated under its key. One folder of four is on fjall.
//!
//! `KILL_CYCLES` sets the number of cycles over all folders (500 by default), `KILL_SEED` the moments.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod checks;
mod world;
mod writers;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use test_support::process::Process;

use world::{Random, World};

const PROGRAM: &str = env!("CARGO_BIN_EXE_platform");

/// Servers side by side: one waits for the disk or for its moment while the others work.
const LANES: u64 = 4;

/// Cheap passwords, a token for all cycles, and nothing printed that nobody reads. The limits of our own
/// endpoints stay as they are.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PLATFORM__AUTH__ARGON2_MEMORY_KIB", "8"),
    ("PLATFORM__AUTH__ARGON2_ITERATIONS", "1"),
    ("PLATFORM__AUTH__ACCESS_TOKEN_LIFETIME_S", "86400"),
    ("PLATFORM__LOG__REQUESTS", "false"),
    ("PLATFORM__LOG__LEVEL", "error"),
    ("PLATFORM__NOTIFICATIONS__SMTP_URL", "smtp://127.0.0.1:9"),
];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// All stores on fjall.
const FJALL: (&str, &str) =
    ("PLATFORM__STORAGE__FJALL", "audit,auth,flags,gateway,notifications,transactions,users");

/// The environment of a lane's servers.
fn environment(lane: u64) -> Vec<(&'static str, &'static str)> {
    let mut all = ENVIRONMENT.to_vec();
    all.extend((lane % LANES == LANES - 1).then_some(FJALL));
    all
}

/// Starts a server and kills it before or just after it listens: a start is work of its own.
fn kill_at_the_start(data: &Path, environment: &[(&str, &str)], after: Duration) {
    let mut child = Command::new(PROGRAM)
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What a folder came to.
struct Told {
    restarts: Vec<Duration>,
    acknowledged: u64,
    refused: u64,
    unanswered: u64,
}

fn lane(number: u64, cycles: u64) -> Told {
    let mut random = Random::new(setting("KILL_SEED", 1) * 1_000 + number);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let environment = environment(number);
    let start = || Process::start(Path::new(PROGRAM), &data, &environment);
    let process = start();
    let world = World::begin(&process);
    let mut process = Some(process);
    let mut restarts = Vec::new();
    for _ in 0..cycles {
        let running = process.take().unwrap();
        let after = Duration::from_micros(random.below(200_000));
        std::thread::scope(|scope| {
            let writers: Vec<_> = writers::ALL
                .into_iter()
                .map(|write| {
                    let (world, client) = (&world, running.client().with_token(&world.token));
                    scope.spawn(move || write(world, client))
                })
                .collect();
            std::thread::sleep(after);
            running.kill();
            world.stop.store(true, Relaxed);
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            world.stop.store(false, Relaxed);
        });
        if random.below(8) == 0 {
            kill_at_the_start(&data, &environment, Duration::from_micros(random.below(60_000)));
        }
        let restarted = start();
        restarts.push(restarted.ready_after);
        assert_eq!(restarted.setup_token, None, "the administrator is still there");
        checks::after_a_restart(&world, &mut restarted.client().with_token(&world.token));
        process = Some(restarted);
    }
    let process = process.unwrap();
    checks::at_the_end(&world, &mut process.client().with_token(&world.token));
    process.stop();
    let verified = Command::new(PROGRAM).args(["audit", "verify", "--data"]).arg(&data).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let [acknowledged, refused, unanswered] = world.counts();
    Told { restarts, acknowledged, refused, unanswered }
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_the_process_is_killed() {
    let cycles = setting("KILL_CYCLES", 500);
    let told: Vec<Told> = std::thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..LANES).map(|number| scope.spawn(move || lane(number, cycles.div_ceil(LANES)))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let mut restarts: Vec<Duration> = told.iter().flat_map(|told| told.restarts.clone()).collect();
    restarts.sort();
    let sum = |of: fn(&Told) -> u64| told.iter().map(of).sum::<u64>();
    let acknowledged = sum(|told| told.acknowledged);
    println!(
        "{} cycles: {acknowledged} effects acknowledged, {} refused, {} unanswered; restart {:?} at the median, {:?} at most",
        restarts.len(),
        sum(|told| told.refused),
        sum(|told| told.unanswered),
        restarts[restarts.len() / 2],
        restarts[restarts.len() - 1],
    );
    assert!(restarts[restarts.len() / 2] < Duration::from_secs(1), "a restart takes its time");
    assert!(acknowledged > 2 * cycles && sum(|told| told.unanswered) > cycles, "the servers were under load");
}
