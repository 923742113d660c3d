//! The head of a client's request.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri, Version, header};
use httparse::Status;
use platform_core::kernel::{Error, Result, limits};

use super::fields::{Connection, Places, part_of, place_of};
use super::framing::{Framing, Framings};
use super::{FIELDS, Nonsense, has_end};

/// The head of a request.
#[derive(Debug)]
pub(crate) struct ClientRequest {
    /// Line and fields.
    pub(crate) parts: Parts,
    /// Where its body ends.
    pub(crate) framing: Framing,
    /// Whether the client lets another request follow.
    pub(crate) is_kept: bool,
    /// Whether the client sends the body when it is asked for it (RFC 9110, 10.1.1).
    pub(crate) expects_continue: bool,
}

/// Reads the head of one request.
#[derive(Debug, Default)]
pub(crate) struct RequestReader {
    /// Bytes in which it does not end.
    seen: usize,
}

/// What was understood, in the terms of the buffer.
struct Lines {
    length: usize,
    method: Method,
    target: (u32, u32),
    is_http_11: bool,
    fields: Places,
}

impl RequestReader {
    /// Takes the head off the buffer; `None` when it is not whole yet.
    ///
    /// # Errors
    /// `request.malformed_head`, `request.head_too_large`, `request.unsupported_version`, `request.no_tunnels`: then nothing that follows on the connection can be understood.
    pub(crate) fn read(&mut self, buffer: &mut BytesMut) -> Result<Option<ClientRequest>> {
        // A head that comes in pieces is not parsed for each of them.
        if buffer.is_empty() || (self.seen > 0 && !has_end(buffer, self.seen)) {
            return self.wait(buffer);
        }
        let Some(lines) = parse(buffer)? else { return self.wait(buffer) };
        if lines.length > limits::HEAD_BYTES {
            return Err(too_large());
        }
        let text = buffer.split_to(lines.length).freeze();
        build(&text, lines).map(Some)
    }

    /// Whether nothing of a head has come.
    pub(crate) fn is_fresh(&self) -> bool {
        self.seen == 0
    }

    fn wait(&mut self, buffer: &[u8]) -> Result<Option<ClientRequest>> {
        self.seen = buffer.len();
        if self.seen > limits::HEAD_BYTES { Err(too_large()) } else { Ok(None) }
    }
}

fn parse(buffer: &[u8]) -> Result<Option<Lines>> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    // Its rules: no folded lines, no space before the colon, no CR that stands alone, no NUL.
    let parsed = httparse::ParserConfig::default().parse_request_with_uninit_headers(
        &mut request,
        buffer,
        &mut fields,
    );
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
        Err(httparse::Error::Version) if has_version(buffer) => {
            return Err(Error::invalid("request.unsupported_version", "HTTP/1.1 and HTTP/2 are spoken here"));
        }
        Err(_) => return Err(malformed(Nonsense("it is no HTTP/1"))),
    };
    let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes());
    Ok(Some(Lines {
        length,
        method: method.map_err(|_| malformed(Nonsense("it has no method")))?,
        target: place_of(request.path.unwrap_or_default().as_bytes(), buffer),
        is_http_11: request.version == Some(1),
        fields: Places::of(request.headers, buffer),
    }))
}

/// Whether the request line ends with a version, be it an unknown one.
fn has_version(buffer: &[u8]) -> bool {
    let line = buffer.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    words.next().is_some_and(|word| word.starts_with(b"HTTP/")) && words.next().is_none()
}

fn build(text: &Bytes, lines: Lines) -> Result<ClientRequest> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = lines.method;
    parts.uri = Uri::from_maybe_shared(part_of(text, lines.target))
        .map_err(|_| malformed(Nonsense("its target is no path")))?;
    parts.version = if lines.is_http_11 { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut headers = HeaderMap::with_capacity(lines.fields.len());
    let mut framings = Framings::default();
    let mut connection = Connection::of(lines.is_http_11);
    let (mut hosts, mut expects_continue) = (0, false);
    for field in lines.fields.fields(text) {
        let (name, value) = field.map_err(malformed)?;
        if name == header::HOST {
            hosts += 1;
        } else if name == header::CONTENT_LENGTH {
            // Said twice in the same way, it is said once.
            if !framings.length(value.as_bytes()).map_err(malformed)? {
                continue;
            }
        } else if name == header::TRANSFER_ENCODING {
            framings.coding(value.as_bytes());
        } else if name == header::CONNECTION {
            connection.says(&value);
        } else if name == header::EXPECT {
            expects_continue = lines.is_http_11 && value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        }
        headers.append(name, value);
    }
    // Who sees another host than we do goes elsewhere (RFC 9112, 3.2).
    if hosts > 1 || (hosts == 0 && lines.is_http_11) {
        return Err(malformed(Nonsense("it does not have one host")));
    }
    if parts.method == Method::CONNECT {
        return Err(Error::invalid("request.no_tunnels", "no tunnels are made here"));
    }
    let framing = match framings.framing(lines.is_http_11).map_err(malformed)? {
        Framing::UntilClose => Framing::Length(0),
        other => other,
    };
    parts.headers = headers;
    Ok(ClientRequest { parts, framing, is_kept: connection.is_kept, expects_continue })
}

fn malformed(why: Nonsense) -> Error {
    Error::invalid("request.malformed_head", "the request is not understood").with("why", why.0)
}

fn too_large() -> Error {
    Error::invalid("request.head_too_large", "the request has too many fields, or too large ones")
        .with("limit", limits::HEAD_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<(ClientRequest, Vec<u8>)>> {
        let (mut buffer, mut reader) = (BytesMut::new(), RequestReader::default());
        let mut request = None;
        for piece in pieces {
            buffer.extend_from_slice(piece);
            if request.is_none() {
                request = reader.read(&mut buffer)?;
            }
        }
        Ok(request.map(|request| (request, buffer.to_vec())))
    }

    fn request(text: &str) -> ClientRequest {
        read([text.as_bytes()]).unwrap().unwrap().0
    }

    fn refused(text: &str) -> String {
        read([text.as_bytes()]).expect_err(text).code().to_owned()
    }

    #[test]
    fn a_head_is_understood_and_what_follows_is_left() {
        let text = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-A: 1\r\n\r\nabcGET";
        let (request, rest) = read([text.as_bytes()]).unwrap().unwrap();
        assert_eq!(
            (request.parts.method, request.parts.uri.to_string()),
            (Method::POST, "/a?b=c".to_owned())
        );
        assert_eq!(
            (request.parts.version, request.parts.headers["x-a"].as_bytes()),
            (Version::HTTP_11, &b"1"[..])
        );
        assert_eq!((request.framing.left(), rest.as_slice()), (Some(3), b"abcGET".as_slice()));
        assert!(request.is_kept && !request.expects_continue);
    }

    #[test]
    fn what_the_client_says_of_the_connection_and_the_body() {
        let get = |version: &str, fields: &str| {
            request(&format!("GET / HTTP/{version}\r\nhost: a\r\n{fields}\r\n"))
        };
        assert!(!get("1.0", "").is_kept && get("1.0", "connection: Keep-Alive\r\n").is_kept);
        assert!(!get("1.1", "connection: x, CLOSE\r\n").is_kept);
        assert_eq!(get("1.1", "").framing.left(), Some(0));
        assert!(matches!(get("1.1", "transfer-encoding: Chunked\r\n").framing, Framing::Chunked(_)));
        assert!(get("1.1", "expect: 100-Continue\r\n").expects_continue);
        assert!(!get("1.0", "expect: 100-continue\r\n").expects_continue);
        let twice = get("1.1", "content-length: 3\r\ncontent-length: 3\r\n");
        assert_eq!(
            (twice.framing.left(), twice.parts.headers.get_all("content-length").iter().count()),
            (Some(3), 1)
        );
        assert_eq!(
            request("\r\nGET http://b/x HTTP/1.1\r\nhost: a\r\n\r\n").parts.uri.authority().unwrap(),
            "b"
        );
        assert_eq!(request("OPTIONS * HTTP/1.1\r\nhost:\r\n\r\n").parts.uri, "*");
    }

    #[test]
    fn what_could_be_understood_in_two_ways_is_refused() {
        for fields in [
            "host: a\r\ncontent-length: 1\r\ncontent-length: 2",
            "host: a\r\ncontent-length: 1, 1",
            "host: a\r\ncontent-length: +1",
            "host: a\r\ncontent-length: 0x1",
            "host: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked",
            "host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 1",
            "host: a\r\ntransfer-encoding: xchunked",
            "host: a\r\ntransfer-encoding: gzip, chunked",
            "host: a\r\ntransfer-encoding: chunked, identity",
            "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "host: a\r\ntransfer-encoding : chunked",
            "host: a\r\nx: 1\r\n transfer-encoding: chunked",
            "host: a\r\nx\rtransfer-encoding: chunked",
            "host: a\r\n\0: x",
            "host: a\r\nhost: b",
            "x: no host",
        ] {
            assert_eq!(
                refused(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n")),
                "request.malformed_head",
                "{fields}"
            );
        }
        for line in [
            "GET /a b HTTP/1.1",
            "GET  HTTP/1.1",
            "G\u{e9}T / HTTP/1.1",
            "/ HTTP/1.1",
            "GET a HTTP/1.1:",
            "GET a@b:c:d HTTP/1.1",
        ] {
            assert_eq!(refused(&format!("{line}\r\nhost: a\r\n\r\n")), "request.malformed_head", "{line}");
        }
        assert_eq!(
            refused("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"),
            "request.malformed_head"
        );
        assert_eq!(refused("GET / HTTP/2.0\r\nhost: a\r\n\r\n"), "request.unsupported_version");
        assert_eq!(refused("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"), "request.no_tunnels");
    }

    #[test]
    fn a_head_has_its_limit_whether_it_ends_or_not() {
        let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(limits::HEAD_BYTES));
        assert_eq!(refused(&long), "request.head_too_large");
        assert_eq!(refused(&format!("{long}\r\n\r\n")), "request.head_too_large");
        assert_eq!(refused(&"\r\n".repeat(limits::HEAD_BYTES)), "request.head_too_large");
        let many = "x: y\r\n".repeat(FIELDS);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n")), "request.head_too_large");
    }

    /// What is likely to matter, in any order.
    fn likely() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::sample::select(vec![
            "GET / HTTP/1.1\r\n",
            "POST /x HTTP/1.0\r\n",
            "host: a\r\n",
            "content-length: 3\r\n",
            "transfer-encoding: chunked\r\n",
            "\r\n",
            "\n",
            "\r",
            ":",
            " ",
            "connection: close\r\n",
            "x: y\n",
            "0",
            "abc",
            "\t",
            "\u{7f}",
        ]);
        prop::collection::vec(words, 0..12).prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn a_head_means_the_same_in_whatever_pieces_it_comes(
            text in prop_oneof![likely(), likely().prop_map(|rest| [b"GET / HTTP/1.1\r\nhost: a\r\n".as_slice(), &rest].concat())],
            piece in 1_usize..9,
        ) {
            let (pieces, at_once) = (read(text.chunks(piece)), read([text.as_slice()]));
            match (pieces, at_once) {
                (Ok(pieces), Ok(at_once)) => prop_assert_eq!(format!("{pieces:?}"), format!("{at_once:?}")),
                (Err(pieces), Err(at_once)) => prop_assert_eq!(pieces.code(), at_once.code()),
                // What is wrong is seen when its end has come.
                (Ok(None), Err(_)) => prop_assert!(!text.ends_with(b"\n\n") && !text.ends_with(b"\n\r\n")),
                (pieces, at_once) => prop_assert!(false, "{pieces:?} {at_once:?}"),
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(text.chunks(7));
        }
    }
}
