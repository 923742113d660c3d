//! HTTP/1 with clients, byte by byte: framing, connections that are kept and closed, bodies on request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use common::{Running, Upstream, ok};
use platform_server::http_server::Limits;
use serde_json::{Value, json};

/// A server with a route `/x` to an upstream.
fn before(upstream: &Upstream) -> Running {
    let target = json!({"upstreams": [upstream.url()]});
    let route: Value =
        json!({"match": {"path": "/x"}, "access": "open", "target": target, "body_limit_bytes": 1_000});
    Running::with_routes(&[("r", route)])
}

fn connect(running: &Running) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    BufReader::new(stream)
}

fn say(to: &mut BufReader<TcpStream>, text: &str) {
    to.get_mut().write_all(text.as_bytes()).unwrap();
}

fn head(from: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(from.read_line(&mut head).unwrap() > 0, "{head}");
    }
    head
}

/// Everything until the server closes.
fn rest(from: &mut BufReader<TcpStream>) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn requests_that_come_together_are_answered_one_after_the_other() {
    let upstream = Upstream::start(|seen, _| ok(std::str::from_utf8(&seen.body).unwrap()));
    let running = before(&upstream);
    let mut client = connect(&running);
    say(
        &mut client,
        "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\none\
         POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\nx-sum: 1\r\n\r\n\
         GET /livez HTTP/1.1\r\nhost: a\r\n\r\n\
         POST /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nthree\
         GET /livez HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    let text = rest(&mut client);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(at("one") < at("two") && at("two") < at("\"ok\"") && at("\"ok\"") < at("three"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 4, "{text}");
    assert_eq!(text.matches("connection: close\r\n").count(), 1, "{text}");
    let bodies: Vec<Vec<u8>> = upstream.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [&b"one"[..], b"two", b"three"]);
}

#[test]
fn an_answer_says_what_http_asks_of_it() {
    let running = Running::start(Limits::default());
    let mut client = connect(&running);
    say(&mut client, "HEAD /livez HTTP/1.1\r\nhost: a\r\n\r\nGET /livez HTTP/1.1\r\nhost: a\r\n\r\n");
    let of_head = head(&mut client);
    let of_get = head(&mut client);
    let length =
        |head: &str| head.lines().find(|line| line.starts_with("content-length: ")).map(str::to_owned);
    assert!(length(&of_get).is_some());
    assert_eq!(length(&of_head), length(&of_get));
    for head in [&of_head, &of_get] {
        assert_eq!(head.matches("\r\ndate: ").count(), 1, "{head}");
        assert!(!head.contains("connection:") && !head.contains("transfer-encoding"), "{head}");
    }
}

#[test]
fn with_http_1_0_a_connection_is_kept_when_the_client_asks_for_it() {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let upstream = Upstream::start(move |_, _| chunked.to_vec());
    let running = before(&upstream);
    let mut client = connect(&running);
    say(&mut client, "GET /livez HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    let kept = head(&mut client);
    assert!(kept.starts_with("HTTP/1.0 200 OK\r\n") && kept.contains("connection: keep-alive\r\n"), "{kept}");
    let mut client = connect(&running);
    say(&mut client, "GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    let text = rest(&mut client);
    // It does not understand chunks: the body ends with the connection.
    assert!(text.ends_with("\r\n\r\nhello") && text.contains("connection: close\r\n"), "{text}");
    assert!(!text.contains("transfer-encoding"), "{text}");
}

#[test]
fn a_body_is_asked_for_when_it_is_wanted_and_not_otherwise() {
    let upstream = Upstream::saying("taken");
    let running = before(&upstream);
    let mut client = connect(&running);
    say(&mut client, "POST /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(head(&mut client), "HTTP/1.1 100 Continue\r\n\r\n");
    say(&mut client, "abc");
    assert!(head(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(upstream.seen()[0].body, b"abc");
    assert_eq!(upstream.seen()[0].header("expect"), None);
    let mut client = connect(&running);
    say(&mut client, "POST /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3000\r\n\r\n");
    let refused = rest(&mut client);
    assert!(refused.starts_with("HTTP/1.1 413 ") && refused.contains("connection: close\r\n"), "{refused}");
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn who_sends_what_nobody_reads_reads_the_answer() {
    let upstream = Upstream::saying("x");
    let running = before(&upstream);
    for _ in 0..5 {
        let mut client = connect(&running);
        say(&mut client, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n");
        // All of it is sent before anything is read.
        let _ = client.get_mut().write_all(&vec![b'x'; 3_000_000]);
        let text = rest(&mut client);
        assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("request.body_too_large"), "{text}");
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn what_is_no_request_is_refused_with_a_code_and_nothing_follows() {
    let running = Running::start(Limits::default());
    for (text, status, code) in [
        ("GET / HTTP/1.1\r\n\r\n", 400, "request.malformed_head"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "request.malformed_head"),
        ("\x16\x03\x01\x02\r\n\r\n", 400, "request.malformed_head"),
        ("GET / HTTP/3.0\r\nhost: a\r\n\r\n", 505, "request.unsupported_version"),
        ("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 501, "request.no_tunnels"),
    ] {
        let mut client = connect(&running);
        say(&mut client, text);
        say(&mut client, "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = rest(&mut client);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text:?}: {answer}");
        assert!(answer.contains(code) && answer.contains("connection: close\r\n"), "{text:?}: {answer}");
        assert!(!answer.contains("}HTTP/1.1 "), "{text:?}: {answer}");
    }
}

#[test]
fn a_client_that_goes_is_not_worked_for() {
    let slow = Upstream::start(|_, _| {
        std::thread::sleep(Duration::from_secs(4));
        ok("late")
    });
    let running = before(&slow);
    let mut client = connect(&running);
    say(&mut client, "GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
    while slow.seen().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    client.get_mut().shutdown(Shutdown::Both).unwrap();
    let begin = Instant::now();
    loop {
        let metrics =
            String::from_utf8(running.client().send("GET", "/metrics", None).unwrap().body).unwrap();
        let counted = |line: &&str| line.starts_with("http_server_request_duration_seconds_count{");
        if metrics.lines().filter(counted).any(|line| line.contains("\"499\"")) {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(3), "{metrics}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
