//! The server under pressure: what each attack is answered, that memory stays within a bound, and that a
//! healthy client is served during the attack and after it. How fast, `cargo run --release -p benches --
//! pressure` measures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_support::attack::{Healthy, Running, World, named};
use test_support::process::Process;

const PROGRAM: &str = env!("CARGO_BIN_EXE_platform");
const MIB: u64 = 1024 * 1024;

/// Short deadlines, so that what they end is seen.
const SHORT: [(&str, &str); 5] = [
    ("PLATFORM__LOG__REQUESTS", "false"),
    ("PLATFORM__SERVER__HEADER_TIMEOUT_MS", "1500"),
    ("PLATFORM__SERVER__IDLE_TIMEOUT_MS", "1500"),
    ("PLATFORM__SERVER__STALL_TIMEOUT_MS", "1500"),
    ("PLATFORM__SERVER__BODY_TIMEOUT_MS", "1500"),
];

/// A server with something in it, in a process of its own.
struct Server {
    process: Process,
    world: World,
    healthy: Healthy,
    _folder: TempDir,
}

impl Server {
    fn start(settings: &[(&str, &str)]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let settings = [SHORT.as_slice(), settings].concat();
        let process = Process::start(Path::new(PROGRAM), &folder.path().join("data"), &settings);
        let world = World::prepare(&process);
        let mut healthy = Healthy::new(&world);
        let quiet = healthy.run(40, Duration::from_millis(500));
        assert!(quiet.failures.is_empty(), "quiet: {:?}", quiet.failures);
        Server { process, world, healthy, _folder: folder }
    }

    /// Attacks with so many hundredths of the load until the tally is as wanted; a healthy client is served
    /// all the while and afterwards, and memory never grows by more than the bound.
    fn withstands(
        &mut self,
        attack: &str,
        percent: usize,
        bound: u64,
        wanted: impl Fn(&BTreeMap<String, u64>) -> bool,
    ) -> BTreeMap<String, u64> {
        self.process.forget_peak();
        let before = self.process.memory();
        let running = named(attack).unwrap().start(&self.world, percent);
        let begin = Instant::now();
        loop {
            self.is_served(attack, &running);
            let tally = running.tally();
            // At least so long that a healthy client has something to notice.
            if wanted(&tally) && begin.elapsed() > Duration::from_secs(2) {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{attack}: {tally:?}");
        }
        let grown = self.process.peak_memory().saturating_sub(before);
        eprintln!("{attack}: {} MiB more, {:?}", grown / MIB, running.tally());
        assert!(grown <= bound, "{attack}: {} MiB more", grown / MIB);
        let tally = running.stop();
        let after = self.healthy.run(40, Duration::from_millis(500));
        assert!(after.failures.is_empty(), "after {attack}: {:?}", after.failures);
        tally
    }

    fn is_served(&mut self, attack: &str, running: &Running) {
        let during = self.healthy.run(40, Duration::from_millis(500));
        assert!(during.failures.is_empty(), "{attack}: {:?}; {:?}", during.failures, running.tally());
        // A client that comes now is served, too.
        let fresh = self.world.client().send("GET", "/v1/users/me", None);
        assert_eq!(fresh.map(|answer| answer.status).ok(), Some(200), "{attack}: {:?}", running.tally());
    }
}

/// How often something is in a tally.
fn count(tally: &BTreeMap<String, u64>, what: &str) -> u64 {
    tally.get(what).copied().unwrap_or_default()
}

#[test]
fn heads_that_trickle_in_are_cut_off() {
    Server::start(&[]).withstands("slow-heads", 20, 32 * MIB, |tally| count(tally, "closed") > 100);
}

#[test]
fn bodies_that_trickle_in_are_408() {
    Server::start(&[]).withstands("slow-bodies", 20, 32 * MIB, |tally| count(tally, "408") > 50);
}

#[test]
fn a_flood_of_connections_is_served_like_any_other_client() {
    let tally = Server::start(&[]).withstands("connections", 40, 32 * MIB, |tally| count(tally, "200") > 100);
    assert_eq!(tally.keys().filter(|what| !["200", "left"].contains(&what.as_str())).count(), 0, "{tally:?}");
}

#[test]
fn connections_that_say_nothing_more_are_closed() {
    Server::start(&[]).withstands("idle", 20, 48 * MIB, |tally| count(tally, "closed when idle") > 500);
}

#[test]
fn above_the_cap_of_an_address_connections_are_closed_and_others_have_room() {
    let cap = [("PLATFORM__SERVER__CONNECTIONS_PER_ADDRESS", "100")];
    Server::start(&cap).withstands("above-the-cap", 20, 32 * MIB, |tally| {
        count(tally, "200") >= 100 && count(tally, "closed") > 100
    });
}

#[test]
fn who_does_not_read_is_cut_off() {
    Server::start(&[]).withstands("slow-readers", 20, 64 * MIB, |tally| count(tally, "cut off") > 20);
}

#[test]
fn requests_that_are_reset_end_their_connection() {
    Server::start(&[]).withstands("rapid-reset", 40, 32 * MIB, |tally| {
        count(tally, "reset") > 1_000 && count(tally, "closed") > 20
    });
}

#[test]
fn a_head_without_end_is_enough_to_be_told_to_be_calm() {
    let tally = Server::start(&[])
        .withstands("continuation", 50, 32 * MIB, |tally| count(tally, "GOAWAY ENHANCE_YOUR_CALM") > 20);
    assert_eq!(count(&tally, "5 MiB of head were taken"), 0, "{tally:?}");
}

#[test]
fn who_lets_no_answer_in_is_cut_off() {
    Server::start(&[]).withstands("zero-window", 40, 96 * MIB, |tally| count(tally, "closed") > 20);
}

#[test]
fn frames_that_cost_nothing_take_no_memory() {
    Server::start(&[]).withstands("control-frames", 40, 32 * MIB, |_| true);
}

#[test]
fn heads_above_the_limits_are_431() {
    let tally = Server::start(&[]).withstands("giant-heads", 40, 32 * MIB, |tally| count(tally, "431") > 30);
    assert_eq!(count(&tally, "200"), 0, "{tally:?}");
}

#[test]
fn bodies_above_the_limits_are_413() {
    let tally = Server::start(&[]).withstands("giant-bodies", 40, 48 * MIB, |tally| count(tally, "413") > 50);
    assert_eq!(count(&tally, "200") + count(&tally, "13 MiB were taken"), 0, "{tally:?}");
}

#[test]
fn bodies_that_are_held_back_have_a_bound_in_all() {
    let budget = [("PLATFORM__SERVER__BODY_MEMORY_MB", "32")];
    Server::start(&budget).withstands("held-bodies", 20, 112 * MIB, |tally| {
        count(tally, "503") > 20 && count(tally, "408") > 10
    });
}

#[test]
fn compressed_bodies_are_415_and_never_unpacked() {
    let tally = Server::start(&[]).withstands("compressed", 40, 32 * MIB, |tally| count(tally, "415") > 50);
    assert_eq!(count(&tally, "200"), 0, "{tally:?}");
}

#[test]
fn bombs_of_json_are_400() {
    let tally = Server::start(&[]).withstands("json-bombs", 100, 64 * MIB, |tally| count(tally, "400") > 24);
    assert_eq!(tally.len(), 1, "{tally:?}");
}

#[test]
fn keys_of_the_same_hash_are_as_good_as_others() {
    Server::start(&[]).withstands("colliding-keys", 100, 32 * MIB, |tally| {
        count(tally, "400") > 10 && count(tally, "200") > 10
    });
}

#[test]
fn a_flood_of_logins_is_answered_soon_and_others_are_served() {
    Server::start(&[]).withstands("bad-logins", 100, 96 * MIB, |tally| {
        count(tally, "401") > 20 && count(tally, "503") > 100
    });
}

#[test]
fn an_upstream_that_hangs_holds_up_nobody_else() {
    Server::start(&[]).withstands("hanging-upstream", 100, 48 * MIB, |tally| {
        count(tally, "504") > 20 && count(tally, "503") > 100
    });
}
