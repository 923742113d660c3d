//! Requests, and what they cost the processes that serve them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use test_support::client::Client;

/// Connections of the client, each with one request at a time.
const CONNECTIONS: usize = 8;
/// Requests of a round.
const REQUESTS: usize = 24_000;

/// One request, sent over and over.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) token: Option<String>,
    pub(super) body: Option<Value>,
    /// Bytes of the answer that is expected; `None` for any.
    pub(super) answer: Option<usize>,
}

impl Call {
    /// A request without token and body.
    pub(super) fn get(path: &'static str) -> Call {
        Call { method: "GET", path, token: None, body: None, answer: None }
    }

    /// Microseconds of processor that one such request to `address` costs these processes together.
    pub(super) fn cost(&self, processes: &[u32], address: SocketAddr) -> f64 {
        let ran = || processes.iter().map(|process| processor_ns(*process)).sum::<f64>();
        self.send(address, REQUESTS / 10);
        let before = ran();
        self.send(address, REQUESTS);
        (ran() - before) / 1e3 / REQUESTS as f64
    }

    fn send(&self, address: SocketAddr, requests: usize) {
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(move || {
                    let client = Client::new(address);
                    let mut client = match &self.token {
                        Some(token) => client.with_token(token),
                        None => client,
                    };
                    for _ in 0..requests / CONNECTIONS {
                        let sent = client.send(self.method, self.path, self.body.as_ref());
                        let answer = sent.expect("an answer");
                        assert_eq!(answer.status, 200);
                        assert!(self.answer.is_none_or(|bytes| answer.body.len() == bytes));
                    }
                });
            }
        });
    }
}

/// Nanoseconds that the threads of a process have run.
fn processor_ns(process: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("a Linux system");
    let ran = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    ran.sum()
}

/// Lets all threads of a process run on one core only.
pub(super) fn pin(process: u32, core: usize) {
    let (core, process) = (core.to_string(), process.to_string());
    let done = Command::new("taskset").args(["-a", "-c", "-p", &core, &process]).output();
    assert!(done.expect("taskset").status.success(), "a process is pinned");
}
