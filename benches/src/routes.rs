//! Routes that change while requests run.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "what fails ends the measurement")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use test_support::client::Client;
use test_support::process::Process;

use crate::row::{Measured, Row};
use crate::server::program;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "route-swaps",
    what: "requests that failed while a route went from one upstream to another 10,000 times, over HTTP",
    run: swaps,
}];

const SWAPS: usize = 10_000;
/// Clients that send one request after another meanwhile.
const CLIENTS: usize = 4;

fn swaps() -> Measured {
    let upstreams = [upstream("a"), upstream("b")];
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let server =
        Process::start(&program(), &folder.path().join("data"), &[("PLATFORM__LOG__REQUESTS", "false")]);
    let token = server.setup_token.clone().expect("a setup token");
    let account = json!({"token": token, "email": "admin@example.com", "password": "a long enough password"});
    let pair = server.client().send("POST", "/v1/setup", Some(&account)).expect("set up").json();
    let token = pair.get("access_token").and_then(Value::as_str).expect("a token").to_owned();
    let mut admin = server.client().with_token(&token);
    let mut swap = |number: usize| {
        let upstream = upstreams.get(number % 2).expect("one of two");
        let target = json!({"upstreams": [format!("http://{upstream}")]});
        let route = json!({"match": {"path": "/bench"}, "access": "open", "target": target});
        let answer = admin.send("PUT", "/v1/gateway/routes/bench", Some(&route)).expect("an answer");
        assert!(answer.status < 300, "the route is set: {}", answer.status);
    };
    swap(0);
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (address, done) = (server.address, Arc::clone(&done));
            std::thread::spawn(move || load(address, &done))
        })
        .collect();
    (1..=SWAPS).for_each(&mut swap);
    done.store(true, Ordering::Relaxed);
    let counted = clients.into_iter().map(|client| client.join().expect("no panic"));
    let [from_a, from_b, failed] =
        counted.fold([0; 3], |sum: [u64; 3], one| std::array::from_fn(|i| sum[i] + one[i]));
    server.stop();
    assert!(from_a > 1_000 && from_b > 1_000, "both upstreams answered: {from_a}, {from_b}");
    eprintln!("{from_a} answers of one upstream, {from_b} of the other");
    Measured::alone(failed as f64, "failed")
}

/// Answers of the two upstreams, and requests that failed.
fn load(address: SocketAddr, done: &AtomicBool) -> [u64; 3] {
    let mut client = Client::new(address);
    let mut counts = [0; 3];
    while !done.load(Ordering::Relaxed) {
        match client.send("GET", "/bench", None) {
            Ok(answer) if answer.status == 200 && answer.body == b"a" => counts[0] += 1,
            Ok(answer) if answer.status == 200 && answer.body == b"b" => counts[1] += 1,
            _ => {
                counts[2] += 1;
                client = Client::new(address);
            }
        }
    }
    counts
}

/// A server that answers every request with this letter.
fn upstream(letter: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            std::thread::spawn(move || {
                let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
                while let Ok(read @ 1..) = connection.read(&mut chunk) {
                    request.extend_from_slice(chunk.get(..read).unwrap_or_default());
                    // A GET has no body: its end is the empty line.
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{letter}");
                        if connection.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}
