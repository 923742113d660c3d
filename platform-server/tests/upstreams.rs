//! What upstreams say, and what becomes of it: answers in every form, nonsense, answers that come early.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use common::{Running, Upstream};
use serde_json::{Value, json};

fn route(address: SocketAddr) -> Value {
    json!({"match": {"path": "/{*rest}"}, "access": "open", "timeout_ms": 2000,
           "target": {"upstreams": [format!("http://{address}")]}})
}

fn behind(answer: &'static [u8]) -> (Running, Upstream) {
    let upstream = Upstream::start(move |_, _| answer.to_vec());
    let running = Running::with_routes(&[("r", route(upstream.address))]);
    (running, upstream)
}

/// An upstream whose every connection is given to `talk`.
fn talking(talk: impl Fn(&mut BufReader<TcpStream>) + Send + Sync + 'static) -> (Running, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            talk(&mut BufReader::new(stream.unwrap()));
        }
    });
    (Running::with_routes(&[("r", route(address))]), address)
}

fn read_head(from: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(from.read_line(&mut head).unwrap() > 0, "{head}");
    }
    head
}

fn connected(running: &Running) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    BufReader::new(stream)
}

#[test]
fn nonsense_is_502_and_never_the_answer_of_another() {
    let corpus: [&[u8]; 12] = [
        b"hello\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx\rcontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx : y\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ];
    for nonsense in corpus {
        let (running, upstream) = behind(nonsense);
        let answer = running.client().send("POST", "/x", Some(&json!({}))).unwrap();
        let shown = nonsense.escape_ascii();
        assert_eq!((answer.status, answer.code().as_str()), (502, "gateway.bad_upstream"), "{shown}");
        assert_eq!(upstream.seen().len(), 1, "{shown}");
    }
    let endless = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'y'; 70_000]].concat();
    let (running, _upstream) = behind(endless.leak());
    assert_eq!(running.client().send("POST", "/x", None).unwrap().code(), "gateway.bad_upstream");
}

#[test]
fn answers_of_every_form_come_through() {
    let text = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 Fine\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nhello";
    let (running, _upstream) = behind(text);
    let mut client = running.client();
    for _ in 0..3 {
        let answer = client.send("GET", "/x", None).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
        assert_eq!((answer.header("x-a"), answer.header("link")), (Some("1"), None));
    }
    let (running, _upstream) = behind(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x\r\nlo\r\n0\r\nx-sum: 1\r\n\r\n");
    let mut client = running.client();
    for _ in 0..3 {
        assert_eq!(client.send("GET", "/x", None).unwrap().body, b"hello");
    }
    for status in ["204 No Content", "304 Not Modified"] {
        let text = format!("HTTP/1.1 {status}\r\nx-a: 1\r\n\r\n").into_bytes();
        let (running, upstream) = behind(text.leak());
        for number in 1..=3 {
            let mut client = connected(&running);
            client.get_mut().write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            assert!(read_head(&mut client).starts_with(&format!("HTTP/1.1 {status}\r\n")));
            assert_eq!(upstream.seen().len(), number);
        }
    }
}

#[test]
fn the_answer_to_head_has_the_length_and_no_body() {
    let (running, upstream) = behind(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    let mut client = connected(&running);
    for _ in 0..2 {
        client.get_mut().write_all(b"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let head = read_head(&mut client);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 5\r\n"), "{head}");
    }
    assert_eq!(upstream.seen()[1].line, "HEAD /x HTTP/1.1");
}

#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    let (running, _) = talking(|stream| {
        read_head(stream);
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\nall ").unwrap();
        std::thread::sleep(Duration::from_millis(30));
        stream.get_mut().write_all(b"of it").unwrap();
    });
    let mut client = running.client();
    for _ in 0..2 {
        assert_eq!(client.send("GET", "/x", None).unwrap().body, b"all of it");
    }
}

#[test]
fn what_comes_behind_an_answer_is_never_the_next_one() {
    let (running, upstream) = behind(
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    );
    let mut client = running.client();
    for _ in 0..5 {
        assert_eq!(client.send("GET", "/x", None).unwrap().body, b"good");
    }
    assert_eq!(upstream.seen().len(), 5);
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_fails_nobody() {
    let (running, _) = talking(|stream| {
        let head = read_head(stream);
        assert!(head.contains("content-length: 0\r\n"), "{head}");
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    });
    let mut client = running.client();
    for _ in 0..4 {
        let answer = client.send("POST", "/x", None).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn large_uploads_arrive_whole_with_and_without_a_length() {
    let (running, upstream) = behind(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let mut client = running.client();
    let body: Vec<u8> = (0..400_000_u32).map(|number| number as u8).collect();
    let declared = format!("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut chunked = b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(30_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    for request in [[declared.as_bytes(), &body].concat(), chunked] {
        for _ in 0..2 {
            assert_eq!(client.exchange(&request).unwrap().body, b"ok");
            assert!(upstream.seen().last().unwrap().body == body);
        }
    }
    let seen = upstream.seen();
    assert_eq!(seen[0].header("content-length"), Some("400000"));
    assert_eq!(
        (seen[2].header("content-length"), seen[2].header("transfer-encoding")),
        (None, Some("chunked"))
    );
}

#[test]
fn an_answer_may_come_before_the_request_is_over() {
    const LENGTH: usize = 300_000;
    let (running, _) = talking(|stream| {
        read_head(stream);
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nfirst").unwrap();
        stream.read_exact(&mut vec![0; LENGTH]).unwrap();
        stream.get_mut().write_all(b"second").unwrap();
    });
    for _ in 0..2 {
        let mut client = connected(&running);
        write!(client.get_mut(), "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\nabc")
            .unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
        let mut first = [0; 5];
        client.read_exact(&mut first).unwrap();
        client.get_mut().write_all(&vec![b'x'; LENGTH - 3]).unwrap();
        let mut second = [0; 6];
        client.read_exact(&mut second).unwrap();
        assert_eq!((&first, &second), (b"first", b"second"));
    }
}

#[test]
fn who_refuses_a_body_and_closes_is_heard() {
    let (running, _) = talking(|stream| {
        read_head(stream);
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 413 Too Much\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
            .unwrap();
    });
    let mut client = connected(&running);
    write!(client.get_mut(), "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nabc").unwrap();
    let head = read_head(&mut client);
    assert!(head.starts_with("HTTP/1.1 413 Too Much\r\n"), "{head}");
    let mut body = [0; 2];
    client.read_exact(&mut body).unwrap();
    assert_eq!(&body, b"no");
}
