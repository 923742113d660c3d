//! The gateway's proxy over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Running, Upstream, ok};
use serde_json::{Value, json};

fn route(path: &str, upstreams: &[&Upstream]) -> Value {
    let urls: Vec<String> = upstreams.iter().map(|upstream| upstream.url()).collect();
    json!({"match": {"path": path}, "access": "open", "target": {"upstreams": urls}})
}

fn with(mut route: Value, name: &str, value: Value) -> Value {
    route[name] = value;
    route
}

#[test]
fn a_request_reaches_its_upstream_and_the_answer_comes_back() {
    let upstream = Upstream::saying("hello");
    let running = Running::with_routes(&[("shop", route("/shop/{*rest}", &[&upstream]))]);
    let mut client = running.client();
    for _ in 0..3 {
        let answer = client
            .send_with(
                "POST",
                "/shop/items?a=%20b",
                &[("x-forwarded-for", "6.6.6.6"), ("te", "trailers")],
                Some(&json!({"n": 1})),
            )
            .unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
        assert_eq!(answer.header("via"), Some("1.1 platform"));
        assert!(answer.header("x-request-id").is_some());
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].line, "POST /shop/items?a=%20b HTTP/1.1");
    assert_eq!(seen[0].body, br#"{"n":1}"#);
    assert_eq!(seen[0].header("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(seen[0].header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen[0].header("x-forwarded-host"), Some(running.address.to_string().as_str()));
    assert_eq!(seen[0].header("te"), None);
    assert!(seen[0].header("traceparent").is_some());
}

#[test]
fn a_base_path_stands_before_the_path_and_disguises_are_undone() {
    let upstream = Upstream::saying("x");
    let url = format!("{}/base", upstream.url());
    let running = Running::with_routes(&[(
        "r",
        json!({"match": {"path": "/{*rest}"}, "access": "open", "target": {"upstreams": [url]}}),
    )]);
    let mut client = running.client();
    assert_eq!(client.send("GET", "/%61/b", None).unwrap().status, 200);
    assert_eq!(upstream.seen()[0].line, "GET /base/a/b HTTP/1.1");
    for path in ["/a/../b", "/a//b", "/a/%2e%2e/b", "/a%2fb", "/%zz"] {
        let answer = client.send("GET", path, None).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "gateway.ambiguous_path"), "{path}");
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn our_own_paths_are_never_forwarded() {
    let upstream = Upstream::saying("x");
    let running = Running::with_routes(&[("r", route("/{*rest}", &[&upstream]))]);
    let mut client = running.client();
    assert_eq!(client.send("GET", "/livez", None).unwrap().json()["status"], "ok");
    assert_eq!(client.send("GET", "/v1/nothing", None).unwrap().code(), "request.no_such_path");
    assert_eq!(client.send("GET", "/%76%31/nothing", None).unwrap().code(), "request.no_such_path");
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_body_above_the_limit_is_413_whether_it_says_so_or_not() {
    let upstream = Upstream::saying("x");
    let limited = with(route("/up", &[&upstream]), "body_limit_bytes", json!(10));
    let running = Running::with_routes(&[("r", limited)]);
    let declared = "POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\n01234567890";
    let chunked = "POST /up HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n67890\r\n0\r\n\r\n";
    for request in [declared, chunked] {
        let answer = running.client().exchange(request.as_bytes()).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (413, "request.body_too_large"));
    }
    let fits = "POST /up HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n";
    assert_eq!(running.client().exchange(fits.as_bytes()).unwrap().status, 200);
    assert_eq!(upstream.seen().last().unwrap().body, b"0123456789");
}

#[test]
fn smuggled_requests_do_not_reach_an_upstream() {
    let upstream = Upstream::saying("x");
    let running = Running::with_routes(&[("r", route("/{*rest}", &[&upstream]))]);
    let corpus = [
        // CL.TE and TE.CL
        "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG",
        "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n1\r\nZ\r\n0\r\n\r\n",
        // two lengths, strange lengths
        "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\na",
        "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0x1\r\n\r\na",
        // disguised codings
        "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /a HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        // folded and broken lines
        "GET /a HTTP/1.1\r\nhost: a\r\nx: 1\r\n transfer-encoding: chunked\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: a\r\nx\rtransfer-encoding: chunked\r\n\r\n",
        "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: a\r\n\0: x\r\n\r\n",
    ];
    for request in corpus {
        let before = upstream.seen().len();
        let mut stream = TcpStream::connect(running.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        // It may have been refused and closed already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        let seen = upstream.seen();
        // Either it is refused, or it was one request, framed anew: never two, never both framings.
        assert!(seen.len() <= before + 1, "{request:?} became more than one request");
        for one in &seen[before..] {
            let both = one.header("content-length").is_some() && one.header("transfer-encoding").is_some();
            assert!(!both, "{request:?} was forwarded with both framings");
        }
        if let Some(status) = text.split(' ').nth(1) {
            assert!(status == "400" || seen.len() == before + 1, "{request:?}: {text}");
        }
        assert!(!text.contains(" 500 "), "{request:?}: {text}");
    }
}

#[test]
fn an_idempotent_request_is_sent_again_and_another_is_not() {
    let broken = Upstream::start(|_, _| Vec::new());
    let good = Upstream::saying("good");
    let running = Running::with_routes(&[("r", route("/x", &[&broken, &good]))]);
    let mut client = running.client();
    for _ in 0..3 {
        assert_eq!(client.send("GET", "/x", None).unwrap().body, b"good");
    }
    let running = Running::with_routes(&[("r", route("/x", &[&broken]))]);
    let before = broken.seen().len();
    let answer = running.client().send("POST", "/x", Some(&json!({}))).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (502, "gateway.bad_upstream"));
    assert_eq!(broken.seen().len(), before + 1);
}

#[test]
fn an_upstream_that_nobody_listens_at_is_502_and_then_its_circuit_opens() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = json!({"match": {"path": "/x"}, "access": "open", "target": {"upstreams": [format!("http://{gone}")]}});
    let running = Running::with_routes(&[("r", target)]);
    let mut client = running.client();
    let codes: Vec<String> = (0..30).map(|_| client.send("POST", "/x", None).unwrap().code()).collect();
    assert_eq!(codes[0], "gateway.bad_upstream");
    assert_eq!(codes[29], "gateway.circuit_open");
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_504() {
    let slow = Upstream::start(|_, _| {
        std::thread::sleep(Duration::from_secs(5));
        ok("late")
    });
    let running = Running::with_routes(&[("r", with(route("/x", &[&slow]), "timeout_ms", json!(200)))]);
    let begin = Instant::now();
    let answer = running.client().send("GET", "/x", None).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (504, "gateway.upstream_timeout"));
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert_eq!(slow.seen().len(), 1);
}

#[test]
fn an_answer_that_breaks_off_breaks_off_here_too() {
    let short = Upstream::start(|_, _| b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec());
    let cut = Upstream::start(|seen, _| {
        let _ = seen;
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz".to_vec()
    });
    let running = Running::with_routes(&[
        ("s", with(route("/short", &[&short]), "timeout_ms", json!(300))),
        ("c", with(route("/cut", &[&cut]), "timeout_ms", json!(300))),
    ]);
    for path in ["/short", "/cut"] {
        assert!(running.client().send("GET", path, None).is_err(), "{path}");
    }
}

#[test]
fn a_limit_answers_429_and_says_when_to_come_again() {
    let upstream = Upstream::saying("x");
    let limit = json!({"per": "minute", "rate": 2, "by": "address"});
    let running = Running::with_routes(&[("r", with(route("/x", &[&upstream]), "limit", limit))]);
    let mut client = running.client();
    let first = client.send("GET", "/x", None).unwrap();
    assert_eq!(first.header("ratelimit-policy"), Some("\"r\";q=2;w=60"));
    assert_eq!(first.header("ratelimit"), Some("\"r\";r=1;t=30"));
    assert_eq!(client.send("GET", "/x", None).unwrap().status, 200);
    let refused = client.send("GET", "/x", None).unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (429, "gateway.rate_limited"));
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() <= 30);
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn a_route_that_is_not_open_refuses_who_is_not_signed_in() {
    let upstream = Upstream::saying("x");
    let closed = with(route("/x", &[&upstream]), "access", json!("signed_in"));
    let running = Running::with_routes(&[("r", closed)]);
    let answer = running.client().send("GET", "/x", None).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (401, "auth.not_signed_in"));
    let forged = running.client().with_token("x.y.z").send("GET", "/x", None).unwrap();
    assert_eq!(forged.status, 401);
    assert!(upstream.seen().is_empty());
}

#[test]
fn preflights_and_foreign_methods_are_answered_here() {
    let upstream = Upstream::saying("x");
    let mut cors = with(route("/x", &[&upstream]), "cors", json!({"origins": ["https://app.example"]}));
    cors["match"]["methods"] = json!(["PUT"]);
    let running = Running::with_routes(&[("r", cors)]);
    let mut client = running.client();
    let headers = [("origin", "https://app.example"), ("access-control-request-method", "PUT")];
    let preflight = client.send_with("OPTIONS", "/x", &headers, None).unwrap();
    assert_eq!((preflight.status, preflight.header("access-control-allow-methods")), (204, Some("PUT")));
    let put = client.send_with("PUT", "/x", &headers[..1], Some(&json!({}))).unwrap();
    assert_eq!(put.header("access-control-allow-origin"), Some("https://app.example"));
    let get = client.send("GET", "/x", None).unwrap();
    assert_eq!(
        (get.status, get.header("allow"), get.code().as_str()),
        (405, Some("PUT"), "request.method_not_allowed")
    );
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn bodies_stream_and_are_never_collected() {
    // 64 MiB through a gateway that could hold it only by collecting: the first byte arrives long before the last.
    const CHUNKS: usize = 64;
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let (send, gate) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).unwrap();
        let length = CHUNKS * 1024 * 1024;
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").unwrap();
        let chunk = vec![b'x'; 1024 * 1024];
        stream.write_all(&chunk).unwrap();
        gate.recv().unwrap();
        for _ in 1..CHUNKS {
            stream.write_all(&chunk).unwrap();
        }
    });
    let target = json!({"match": {"path": "/x"}, "access": "open", "target": {"upstreams": [format!("http://{address}")]}});
    let running = Running::with_routes(&[("r", target)]);
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut first = vec![0; 512 * 1024];
    stream.read_exact(&mut first).unwrap();
    send.send(()).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let body = first.len() + rest.len() - first.windows(4).position(|four| four == b"\r\n\r\n").unwrap() - 4;
    assert_eq!(body, CHUNKS * 1024 * 1024);
}

#[test]
fn what_is_compressed_passes_as_it_is() {
    const PACKED: &[u8] = b"\x1f\x8b\x08 not even whole";
    let upstream = Upstream::start(|seen, _| {
        assert_eq!(seen.body, PACKED);
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", PACKED.len());
        [head.as_bytes(), PACKED].concat()
    });
    let running = Running::with_routes(&[("r", route("/x", &[&upstream]))]);
    let head = format!(
        "POST /x HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        PACKED.len()
    );
    let answer = running.client().exchange(&[head.as_bytes(), PACKED].concat()).unwrap();
    assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(answer.body, PACKED);
    assert_eq!(upstream.seen()[0].header("content-encoding"), Some("gzip"));
}

#[test]
fn no_more_requests_wait_for_an_upstream_than_may_and_other_routes_go_on() {
    let hanging = Upstream::start(|_, _| {
        std::thread::sleep(Duration::from_secs(2));
        ok("late")
    });
    let other = Upstream::saying("other");
    let running = Running::with_routes(&[
        ("hanging", with(route("/x", &[&hanging]), "waiting_limit", json!(2))),
        ("other", route("/y", &[&other])),
    ]);
    let mut waiting = Vec::new();
    for number in 1..=2 {
        let mut client = running.client();
        waiting.push(std::thread::spawn(move || client.send("GET", "/x", None).unwrap().status));
        while hanging.seen().len() < number {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let begin = Instant::now();
    let answer = running.client().send("GET", "/x", None).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "gateway.upstream_busy"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(running.client().send("GET", "/y", None).unwrap().body, b"other");
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(waiting.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>(), [200, 200]);
    assert_eq!(running.client().send("GET", "/x", None).unwrap().status, 200);
}

#[test]
fn routes_are_swapped_without_an_error() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let running = Running::with_routes(&[("r", route("/x", &[&old]))]);
    let mut client = running.client();
    assert_eq!(client.send("GET", "/x", None).unwrap().body, b"old");
    running.set_routes(&[("r", route("/x", &[&new]))]);
    assert_eq!(client.send("GET", "/x", None).unwrap().body, b"new");
}
