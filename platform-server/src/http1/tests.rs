use super::answer::HEAD_BYTES;
use super::whole::{Whole, read};
use super::writing::chunk_begin;
use super::*;
use http::Method;
use proptest::prelude::*;

fn answer(text: &str) -> Result<Option<Whole>, Nonsense> {
    read([text.as_bytes()], false)
}

fn whole(text: &str) -> Whole {
    answer(text).unwrap().unwrap()
}

#[test]
fn a_body_has_its_length_and_what_follows_is_not_of_it() {
    let whole = whole("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nx-a: 1\r\n\r\nabcHTTP/1.1 200 OK");
    assert_eq!(
        (whole.body.as_slice(), whole.rest.as_slice()),
        (b"abc".as_slice(), b"HTTP/1.1 200 OK".as_slice())
    );
    assert!(whole.is_over && whole.head.is_kept);
    assert_eq!(whole.head.parts.headers["x-a"], "1");
    assert_eq!(whole.head.parts.headers["content-length"], "3");
}

#[test]
fn a_body_in_chunks_ends_with_its_trailers() {
    let whole = whole(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;name=\"v\"\r\nabc\r\n0A \r\n0123456789\r\n0\r\nx-sum: 7\r\ncontent-length: 9\r\nconnection: x\r\n\r\nrest",
    );
    assert_eq!(whole.body, b"abc0123456789");
    assert!(whole.is_over && whole.head.is_kept && whole.rest == b"rest");
    assert_eq!(whole.trailers.len(), 1);
    assert_eq!(whole.trailers["x-sum"], "7");
    assert!(!whole.head.parts.headers.contains_key("transfer-encoding"));
}

#[test]
fn what_has_neither_ends_with_the_connection() {
    for text in
        ["HTTP/1.1 200 OK\r\n\r\nall of it", "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\nall of it"]
    {
        let whole = whole(text);
        assert!(whole.body == b"all of it" && whole.is_over && !whole.head.is_kept, "{text}");
    }
    let short = whole("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    assert!(!short.is_over);
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    let head = read([text.as_bytes()], true).unwrap().unwrap();
    assert!(head.is_over && head.body.is_empty() && head.head.is_kept);
    assert_eq!(head.head.parts.headers["content-length"], "5");
    for line in ["204 No Content", "304 Not Modified"] {
        for field in ["content-length: 5", "transfer-encoding: chunked", "x: y"] {
            let whole = whole(&format!("HTTP/1.1 {line}\r\n{field}\r\n\r\nabcde"));
            assert!(whole.is_over && whole.body.is_empty() && whole.rest == b"abcde", "{line} {field}");
        }
    }
}

#[test]
fn interim_answers_are_passed_over_but_not_for_ever() {
    let continued = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
    let whole = whole(continued);
    assert_eq!(whole.head.parts.status, 201);
    assert!(!whole.head.parts.headers.contains_key("link"));
    let endless = "HTTP/1.1 102 Processing\r\n\r\n".repeat(100);
    assert!(answer(&endless).is_err());
}

#[test]
fn what_could_be_understood_in_two_ways_is_refused() {
    for fields in [
        "content-length: 1\r\ncontent-length: 2",
        "content-length: 1, 2",
        "content-length: 1, 1",
        "content-length: +1",
        "content-length: -1",
        "content-length: 0x1",
        "content-length: 1 1",
        "content-length:",
        "content-length: 18446744073709551616",
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding:",
        "transfer-encoding : chunked",
        "x: a\r\n transfer-encoding: chunked",
        " x: folded",
        "x\rtransfer-encoding: chunked",
        "x: a\rb",
        "x: a\0b",
        "\0: x",
        ": x",
        "no colon",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        assert!(answer(&text).is_err(), "{fields:?}: {:?}", answer(&text));
    }
    assert!(answer("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").is_err());
    assert_eq!(whole("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab").body, b"ab");
}

#[test]
fn what_is_no_answer_is_refused() {
    for text in [
        "hello\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 000 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        assert!(answer(text).is_err(), "{text:?}");
    }
    assert!(answer("HTTP/1.1 200 OK\r\nx: y\r\n").unwrap().is_none());
}

#[test]
fn a_chunk_is_what_it_says() {
    for body in [
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+3\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "3 3\r\nabc\r\n",
        "3\r;x\r\nabc\r\n",
        "11111111111111111\r\n",
        "3;\x07\r\nabc\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\n folded: x\r\n\r\n",
        "0\r\nx: \0\r\n\r\n",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        assert!(answer(&text).is_err(), "{body:?}: {:?}", answer(&text));
    }
}

#[test]
fn everything_has_its_limit() {
    let fields = "a: b\r\n".repeat(FIELDS + 1);
    assert!(answer(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).is_err());
    let long = "x".repeat(HEAD_BYTES);
    assert!(answer(&format!("HTTP/1.1 200 OK\r\na: {long}\r\n\r\n")).is_err());
    assert!(answer(&format!("HTTP/1.1 200 OK\r\na: {long}")).is_err(), "also when it does not end");
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert!(answer(&format!("{chunked}1;{long}")).is_err());
    let extended = format!("1;{}\r\nx\r\n", "y".repeat(1_000)).repeat(20);
    assert!(answer(&format!("{chunked}{extended}0\r\n\r\n")).is_err());
    assert!(answer(&format!("{chunked}0\r\na: {long}")).is_err());
    let trailers = "a: b\r\n".repeat(FIELDS + 1);
    assert!(answer(&format!("{chunked}0\r\n{trailers}\r\n")).is_err());
}

#[test]
fn what_belongs_to_the_hop_ends_here() {
    let whole = whole(
        "HTTP/1.1 200 Fine\r\nconnection: X-Private, keep-alive\r\nx-private: 1\r\nkeep-alive: timeout=5\r\nupgrade: h2c\r\ntrailer: x\r\nte: x\r\nproxy-connection: close\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 0\r\n\r\n",
    );
    let headers = &whole.head.parts.headers;
    assert_eq!(headers.len(), 3, "{headers:?}");
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    assert!(whole.head.is_kept);
    assert_eq!(whole.head.parts.extensions.get::<Reason>().unwrap().0, "Fine");
    for (version, connection, is_kept) in [
        ("1.1", "close", false),
        ("1.1", "Keep-Alive, CLOSE", false),
        ("1.1", "close, keep-alive", false),
        ("1.0", "keep-alive", true),
        ("1.0", "x", false),
    ] {
        let text = format!("HTTP/{version} 200 OK\r\nconnection: {connection}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(answer(&text).unwrap().unwrap().head.is_kept, is_kept, "{version} {connection}");
    }
}

#[test]
fn a_request_is_written_as_it_is_to_be_read() {
    let mut out = Vec::new();
    let target = Target { base: "/base", path: "/a%20b".into(), query: Some("q=1") };
    assert!(target.is_one_word());
    write_request_line(&mut out, &Method::POST, &target);
    write_field(&mut out, "host", b"a");
    Length::Exactly(3).write(&mut out);
    assert_eq!(out, b"POST /base/a%20b?q=1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n");
    let written = |length: Length| {
        let mut out = Vec::new();
        length.write(&mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(Length::Nothing), "\r\n");
    assert_eq!(written(Length::Zero), "content-length: 0\r\n\r\n");
    assert_eq!(written(Length::Chunked), "transfer-encoding: chunked\r\n\r\n");
    for path in ["/a b", "/a\r\nx: y", "/a\0", "/a\x7f"] {
        assert!(!Target { base: "", path: path.into(), query: None }.is_one_word(), "{path:?}");
        assert!(!Target { base: "", path: "/".into(), query: Some(path) }.is_one_word(), "{path:?}");
    }
}

/// The text cut at some places.
fn pieces<'a>(text: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|two| &text[two[0]..two[1]]).collect()
}

fn shown(read: Result<Option<Whole>, Nonsense>) -> String {
    match read {
        Ok(Some(whole)) => format!("{whole:?}"),
        // When it is refused depends on the pieces: a head that comes slowly is looked at when it ends.
        Ok(None) | Err(_) => "no answer".to_owned(),
    }
}

fn likely() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.0 204 None\r\n",
        "content-length: 5\r\n",
        "transfer-encoding: chunked\r\n",
        "connection: close\r\n",
        "x: y\n",
        "\r\n",
        "\n",
        "5\r\n",
        "a;x=y\r\n",
        "0\r\n",
        "abcde",
        "\r",
        ":",
    ]);
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #[test]
    fn an_answer_means_the_same_in_whatever_pieces_it_comes(
        text in prop_oneof![likely(), likely().prop_map(|rest| [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".as_slice(), &rest].concat())],
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        is_answer_to_head: bool,
    ) {
        let at_once = shown(read([text.as_slice()], is_answer_to_head));
        prop_assert_eq!(&shown(read(pieces(&text, &cuts), is_answer_to_head)), &at_once);
        prop_assert_eq!(&shown(read(text.chunks(1), is_answer_to_head)), &at_once);
    }

    #[test]
    fn a_body_in_chunks_is_what_was_sent(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        let mut text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            chunk_begin(&mut text, chunk.len());
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\n");
        let whole = read(pieces(&text, &cuts), false).unwrap().unwrap();
        prop_assert!(whole.is_over && whole.rest.is_empty());
        prop_assert_eq!(whole.body, chunks.concat());
    }

    #[test]
    fn nothing_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200), is_answer_to_head: bool) {
        let _ = read(text.chunks(7), is_answer_to_head);
    }
}
