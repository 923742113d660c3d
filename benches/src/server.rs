//! The binary as a whole: how fast it starts, how much memory it holds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use test_support::process::Process;

use crate::row::{Measured, Row, median};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "start-empty",
        what: "start to the first 200, empty folder (median of 15)",
        run: start_empty,
    },
    Row {
        name: "start-again",
        what: "start to the first 200, folder in use (median of 15)",
        run: start_again,
    },
    Row {
        name: "idle-memory",
        what: "resident memory, idle, 3 s after the start (median of 5)",
        run: idle_memory,
    },
];

/// What `PLATFORM_BIN` names, or the release binary beside this driver, built when it is older than the sources.
#[allow(clippy::expect_used)]
pub(crate) fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("PLATFORM_BIN") {
        return program.into();
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo).args(["build", "--release", "--quiet", "--bin", "platform"]).status();
    assert!(built.expect("cargo runs").success(), "the server builds");
    std::env::current_exe().expect("this program").with_file_name("platform")
}

/// Milliseconds from the start of the process to the first 200.
#[allow(clippy::expect_used)]
fn first_200(program: &Path, data: &Path) -> f64 {
    let begin = Instant::now();
    let process = Process::start(program, data, &[]);
    let answer = process.client().send("GET", "/health", None).expect("an answer");
    assert_eq!(answer.status, 200);
    let taken = begin.elapsed();
    process.stop();
    taken.as_secs_f64() * 1e3
}

#[allow(clippy::expect_used)]
fn start_empty() -> Measured {
    let program = program();
    let sample = |_| {
        let folder = tempfile::tempdir_in(".").expect("a folder");
        first_200(&program, &folder.path().join("data"))
    };
    Measured::alone(median((0..15).map(sample)), "ms")
}

#[allow(clippy::expect_used)]
fn start_again() -> Measured {
    let program = program();
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let data = folder.path().join("data");
    first_200(&program, &data);
    Measured::alone(median((0..15).map(|_| first_200(&program, &data))), "ms")
}

/// `VmRSS` of a process in MB (10⁶ bytes).
#[allow(clippy::expect_used)]
fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a Linux system");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim_end_matches("kB").trim().parse::<f64>().unwrap_or_default() * 1024.0 / 1e6
}

#[allow(clippy::expect_used)]
fn idle_memory() -> Measured {
    let program = program();
    let sample = |_| {
        let folder = tempfile::tempdir_in(".").expect("a folder");
        let process = Process::start(&program, &folder.path().join("data"), &[]);
        process.client().send("GET", "/health", None).expect("an answer");
        std::thread::sleep(Duration::from_secs(3));
        resident(process.id())
    };
    Measured::alone(median((0..5).map(sample)), "MB")
}
