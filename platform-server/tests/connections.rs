//! What the accept loop keeps: deadlines, caps, HTTP/2, TLS 1.3, draining.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Running, Upstream};
use platform_server::http_server::{AtOnce, Deadlines, Limits, Tls};
use rustls::pki_types::ServerName;
use serde_json::json;

fn quick() -> Limits {
    let deadlines = Deadlines {
        header: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        stall: Duration::from_millis(400),
    };
    Limits { deadlines, ..Limits::default() }
}

fn connect(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

/// How long until the server closes; what it said before.
fn until_closed(stream: &mut TcpStream) -> (Duration, String) {
    let begin = Instant::now();
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it was not closed: {error}"),
    }
    (begin.elapsed(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_connection_that_says_nothing_is_closed_after_the_header_deadline() {
    let running = Running::start(quick());
    let (took, _) = until_closed(&mut connect(&running));
    assert!((250..900).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_head_that_trickles_in_is_cut_off_however_often_a_byte_comes() {
    let running = Running::start(quick());
    let mut stream = connect(&running);
    let begin = Instant::now();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n").unwrap();
    while begin.elapsed() < Duration::from_secs(3) {
        if stream.write_all(b"x: y\r\n").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    assert!(begin.elapsed() < Duration::from_millis(1_500), "{:?}", begin.elapsed());
}

#[test]
fn between_two_requests_the_idle_deadline_counts_and_not_that_of_the_head() {
    let running = Running::start(quick());
    let mut client = running.client();
    for _ in 0..3 {
        assert_eq!(client.send("GET", "/livez", None).unwrap().status, 200);
        std::thread::sleep(Duration::from_millis(450));
    }
    let mut stream = connect(&running);
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let (took, text) = until_closed(&mut stream);
    assert!(text.starts_with("HTTP/1.1 200"));
    assert!((500..1_500).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_body_that_stalls_on_its_way_to_an_upstream_is_cut_off() {
    let upstream = Upstream::saying("x");
    let running = Running::start(quick());
    running.set_routes(&[(
        "r",
        json!({"match": {"path": "/up"}, "access": "open", "target": {"upstreams": [upstream.url()]}}),
    )]);
    let mut stream = connect(&running);
    stream.write_all(b"POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc").unwrap();
    let (took, _) = until_closed(&mut stream);
    assert!((300..2_000).contains(&took.as_millis()), "{took:?}");
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let running = Running::start(quick());
    let mut stream = connect(&running);
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let begin = Instant::now();
    // Pipelined, and no answer is ever read: at last the kernel's buffers are full.
    let many = b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
    let cut = loop {
        match stream.write_all(&many) {
            Ok(()) if begin.elapsed() > Duration::from_secs(8) => break false,
            Ok(()) => {}
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    assert!(cut, "{:?}", begin.elapsed());
}

#[test]
fn heads_above_the_limits_are_431() {
    let running = Running::start(Limits::default());
    let large = format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024));
    let many = format!("GET /livez HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200));
    for request in [large, many] {
        let mut stream = connect(&running);
        let _ = stream.write_all(request.as_bytes());
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 431");
    }
}

#[test]
fn above_the_cap_connections_are_closed_at_once_and_room_comes_back() {
    let at_once = AtOnce { connections_per_address: 2, ..Limits::default().at_once };
    let running = Running::start(Limits { at_once, ..Limits::default() });
    let mut first = running.client();
    let mut second = running.client();
    assert_eq!(first.send("GET", "/livez", None).unwrap().status, 200);
    assert_eq!(second.send("GET", "/livez", None).unwrap().status, 200);
    assert!(running.client().send("GET", "/livez", None).is_err());
    drop(first);
    let begin = Instant::now();
    while running.client().send("GET", "/livez", None).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(10));
    }
    let metrics = String::from_utf8(second.send("GET", "/metrics", None).unwrap().body).unwrap();
    assert!(!metrics.contains("platform_gateway_connections_refused_total 0"), "{metrics}");
}

#[test]
fn when_there_is_little_room_left_the_silent_are_closed_sooner() {
    let deadlines = Deadlines { idle: Duration::from_secs(20), ..Deadlines::default() };
    let at_once = AtOnce { connections: 4, ..Limits::default().at_once };
    let running = Running::start(Limits { deadlines, at_once, ..Limits::default() });
    let (closed, first) = std::sync::mpsc::channel();
    for _ in 0..4 {
        let mut silent = connect(&running);
        silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        silent.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let closed = closed.clone();
        std::thread::spawn(move || closed.send(until_closed(&mut silent)));
    }
    // Whoever is looked at first; then there is room again, and the others have their whole time.
    let (took, text) = first.recv().unwrap();
    assert!(text.starts_with("HTTP/1.1 200"));
    assert!((1_500..12_000).contains(&took.as_millis()), "{took:?}");
    // And there is room for somebody else.
    assert_eq!(running.client().send("GET", "/livez", None).unwrap().status, 200);
}

/// A server before an upstream that takes its time.
fn before_a_slow_upstream(limits: Limits) -> (Running, Upstream) {
    let slow = Upstream::start(|_, _| {
        std::thread::sleep(Duration::from_secs(3));
        common::ok("late")
    });
    let running = Running::start(limits);
    let target = json!({"upstreams": [slow.url()]});
    running.set_routes(&[("r", json!({"match": {"path": "/x"}, "access": "open", "target": target}))]);
    (running, slow)
}

#[test]
fn above_the_cap_of_requests_they_are_refused_at_once_and_told_when_to_come_again() {
    let most = Limits::default().at_once;
    for (at_once, status, code) in [
        (AtOnce { requests_per_address: 1, ..most }, 429, "server.too_many_requests"),
        (AtOnce { requests: 1, ..most }, 503, "server.overloaded"),
    ] {
        let (running, slow) = before_a_slow_upstream(Limits { at_once, ..Limits::default() });
        let mut first = running.client();
        let waiting = std::thread::spawn(move || first.send("GET", "/x", None).unwrap().status);
        while slow.seen().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let answer = running.client().send("GET", "/livez", None).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(waiting.join().unwrap(), 200);
        assert_eq!(running.client().send("GET", "/livez", None).unwrap().status, 200);
    }
}

#[test]
fn a_request_that_is_taken_back_does_not_keep_its_connection_open() {
    let (running, slow) = before_a_slow_upstream(quick());
    let took = running.block_on(async {
        let stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        let connection = tokio::spawn(connection);
        let request =
            http::Request::get("http://a/x").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        let asking = sender.send_request(request);
        assert!(tokio::time::timeout(Duration::from_millis(200), asking).await.is_err());
        let begin = Instant::now();
        let _ = tokio::time::timeout(Duration::from_secs(5), connection).await.unwrap();
        begin.elapsed()
    });
    assert_eq!(slow.seen().len(), 1);
    assert!((400..2_500).contains(&took.as_millis()), "{took:?}");
    // Nor is it counted as going on for ever.
    let metrics = String::from_utf8(running.client().send("GET", "/metrics", None).unwrap().body).unwrap();
    let counted = |line: &&str| line.starts_with("http_server_request_duration_seconds_count{");
    assert!(metrics.lines().filter(counted).any(|line| line.contains("\"499\"")), "{metrics}");
}

#[test]
fn a_stopping_server_finishes_what_it_has_begun() {
    let slow = Upstream::start(|_, _| {
        std::thread::sleep(Duration::from_millis(500));
        common::ok("done")
    });
    let running = Running::with_routes(&[(
        "r",
        json!({"match": {"path": "/x"}, "access": "open", "target": {"upstreams": [slow.url()]}}),
    )]);
    let mut client = running.client();
    let waiting = std::thread::spawn(move || client.send("GET", "/x", None));
    while slow.seen().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    running.stop();
    assert_eq!(waiting.join().unwrap().unwrap().body, b"done");
    assert!(TcpStream::connect(running.address).is_err());
}

#[test]
fn http_2_is_spoken_too() {
    let running = Running::start(Limits::default());
    let status = running.block_on(async {
        let stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let request =
            http::Request::get("http://a/livez").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        sender.send_request(request).await.unwrap().status()
    });
    assert_eq!(status, 200);
}

/// The version and protocol that are agreed on with a client that speaks these versions.
fn handshake(
    running: &Running,
    certificate: &rustls::pki_types::CertificateDer<'static>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Result<(Option<rustls::ProtocolVersion>, Option<Vec<u8>>), std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut socket = connect(running);
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    assert!(text.starts_with(b"HTTP/1.1 200"));
    Ok((connection.protocol_version(), connection.alpn_protocol().map(<[u8]>::to_vec)))
}

#[test]
fn tls_is_1_3_and_nothing_older() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let running = Running::start_with(Limits::default(), Some(Tls::from_files(&chain, &key).unwrap()));
    let certificate = made.cert.der().clone();
    let (version, protocol) = handshake(&running, &certificate, &[&rustls::version::TLS13]).unwrap();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(protocol.as_deref(), Some(b"http/1.1".as_slice()));
    assert!(handshake(&running, &certificate, &[&rustls::version::TLS12]).is_err());
    assert!(Tls::from_files(&key, &chain).is_err());
    assert!(
        Tls::from_files(&folder.path().join("none.pem"), &key)
            .err()
            .unwrap()
            .to_string()
            .contains("none.pem")
    );
}

#[test]
fn a_server_that_stops_says_so_and_lives_on_until_it_has() {
    let running = Running::start(Limits::default());
    let mut client = running.client();
    assert_eq!(client.send("GET", "/readyz", None).unwrap().status, 200);
    running.server.drain();
    let answer = client.send("GET", "/readyz", None).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "server.draining"));
    assert_eq!(client.send("GET", "/health", None).unwrap().json()["status"], "draining");
    assert_eq!(client.send("GET", "/livez", None).unwrap().status, 200);
}
