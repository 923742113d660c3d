//! The log in the process: durable appends, beside Redis streams that sync every command; and how long an
//! event is on its way.

#![allow(clippy::expect_used, reason = "what fails ends the measurement")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use embedded_store::{FjallLog, SystemRuntime, open_backends};
use platform_core::audit::{Audit, AuditConfig};
use platform_core::backbone::Backbone;
use platform_core::kernel::Context;
use platform_core::ports::log::{EventLog, NewRecord, Topic};
use platform_core::users::{NewProfile, Users};

use crate::disk;
use crate::row::{Measured, Row, in_turns, median};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "log-appenders-64",
        what: "durable appends of 256 bytes from 64 tasks; peer: Redis streams, appendfsync always, 64 connections",
        run: appenders,
    },
    Row {
        name: "log-appender-alone",
        what: "durable appends of 256 bytes one by one, per second; peer: fdatasyncs of a growing file",
        run: alone,
    },
    Row {
        name: "event-effect",
        what: "from a command's answer to the committed entry of its event in the audit log, idle, on SQLite (median of 200); peer: 1 ms and two fdatasyncs",
        run: effect,
    },
];

const ROUNDS: usize = 5;
const APPENDS: usize = 200_000;
const TASKS: usize = 64;
const VALUE: [u8; 256] = [b'x'; 256];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Appends per second of so many tasks.
fn appends(tasks: usize, count: usize) -> f64 {
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk of the project");
    let runtime = runtime();
    runtime.block_on(async {
        let log =
            FjallLog::open(&folder.path().join("log"), Arc::new(SystemRuntime::current())).expect("a log");
        log.declare(&Topic::new("bench", 8)).await.expect("declared");
        let begin = Instant::now();
        let running: Vec<_> = (0..tasks)
            .map(|task| {
                let log = log.clone();
                tokio::spawn(async move {
                    for _ in 0..count / tasks {
                        let record = NewRecord::new(format!("key_{task}"), VALUE.to_vec());
                        log.append("bench", vec![record]).await.expect("appended");
                    }
                })
            })
            .collect();
        for task in running {
            task.await.expect("no panic");
        }
        count as f64 / begin.elapsed().as_secs_f64()
    })
}

fn appenders() -> Measured {
    let (ours, theirs) = in_turns(ROUNDS, || appends(TASKS, APPENDS), redis);
    Measured::against(ours, "appends/s", "redis", theirs)
}

fn alone() -> Measured {
    let (ours, theirs) = in_turns(ROUNDS, || appends(1, 3_000), || 1e6 / disk::fdatasync_us(1_000));
    Measured::against(ours, "appends/s", "fdatasync", theirs)
}

fn effect() -> Measured {
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk of the project");
    let (ours, floor) = runtime().block_on(async {
        let backends = open_backends(&folder.path().join("data"), Vec::new()).await.expect("a folder");
        let backbone = Backbone::new(backends);
        let users = Users::open(backbone.backends()).await.expect("users");
        backbone.add(users.database(), users.parts()).expect("added");
        let audit = Audit::open(backbone.backends(), AuditConfig::default()).await.expect("an audit log");
        backbone.add(audit.database(), audit.parts()).expect("added");
        backbone.start().await.expect("started");
        let (mut taken, mut floor) = (Vec::new(), Vec::new());
        for number in 0..200 {
            backbone.settled().await.expect("settled");
            tokio::time::sleep(Duration::from_millis(20)).await;
            let ctx = Context::service("bench");
            let email = format!("person{number}@example.com").parse().expect("an address");
            users.create(&ctx, &NewProfile { id: None, email, name: None }).await.expect("created");
            let begin = Instant::now();
            backbone.wait_for(&ctx.positions(), Duration::from_secs(5)).await.expect("handled");
            taken.push(begin.elapsed().as_secs_f64() * 1e3);
            floor.push(1.0 + 2.0 * disk::fdatasync_us(5) / 1e3);
        }
        backbone.stop().await;
        (median(taken), median(floor))
    });
    Measured::against(ours, "ms", "goal", floor)
}

/// Redis, with its files on the same disk; killed when dropped.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PORT: &str = "16379";

/// Appends per second of Redis: the median of what its own driver measures in one run.
fn redis() -> f64 {
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk of the project");
    let server = Command::new("redis-server")
        .args(["--port", PORT, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
        .args(["--appendfsync", "always", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn();
    let _server = Redis(server.expect("redis-server, from `cargo xtask peers`"));
    let begin = Instant::now();
    while std::net::TcpStream::connect(format!("127.0.0.1:{PORT}")).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "redis-server listens");
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = String::from_utf8_lossy(&VALUE).into_owned();
    let count = APPENDS.to_string();
    let done = Command::new("redis-benchmark")
        .args(["-p", PORT, "-c", "64", "-n", &count, "--csv", "XADD", "stream", "*", "value", &text])
        .output()
        .expect("redis-benchmark");
    let text = String::from_utf8_lossy(&done.stdout);
    let rates = text.lines().filter_map(|line| line.split(',').nth(1)?.trim_matches('"').parse().ok());
    median(rates)
}
