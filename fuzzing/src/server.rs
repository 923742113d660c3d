//! What the server reads: settings, bodies, queries, headers, replies of mail servers.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use platform_core::kernel::{Actor, Permissions, Principal, limits};
use platform_server::config::Network;
use platform_server::fuzzing;
use platform_server::smtp::SmtpUrl;
use serde_json::Value;

use crate::input::{Input, refused, split_once, text};

pub(crate) fn config(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match fuzzing::config(text) {
        Ok(loaded) => {
            // Everything but the secrets, which are not shown, reads as it is shown.
            let shown: Vec<_> = loaded.each().filter(|(_, value, _)| value != "\"…\"").collect();
            let file: String = shown.iter().map(|(key, value, _)| format!("{key} = {value}\n")).collect();
            let again = fuzzing::config(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
            let values = |(key, value, _): (_, String, _)| (key, value);
            let again: Vec<_> = again.each().filter(|(_, value, _)| value != "\"…\"").map(values).collect();
            assert_eq!(again, shown.into_iter().map(values).collect::<Vec<_>>());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

pub(crate) fn networks(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match text.parse::<Network>() {
        Ok(network) => {
            let address: IpAddr = text.split('/').next().unwrap().parse().unwrap();
            // A network of IPv6 may reach beyond the addresses of IPv4 in it.
            let bits: Option<u8> = text.split_once('/').map(|(_, bits)| bits.parse().unwrap());
            let address = if bits.is_none_or(|bits| bits >= 96) { address.to_canonical() } else { address };
            let is_v4 = address.is_ipv4();
            let mapped = address != address.to_canonical();
            assert!(mapped || network.contains(address), "a network contains its own address");
            let other: IpAddr = if is_v4 { "::1".parse().unwrap() } else { "127.0.0.1".parse().unwrap() };
            assert!(!network.contains(other), "a network is of one family");
        }
        Err(why) => assert!(!why.is_empty()),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

pub(crate) fn json_body(bytes: &[u8]) {
    let value = serde_json::from_slice::<Value>(bytes);
    match fuzzing::check_json(bytes) {
        Ok(()) => assert!(depth(&value.expect("what is checked is JSON")) <= limits::JSON_DEPTH),
        Err(error) => {
            refused(&error, &["request.malformed_json", "request.too_deep", "request.duplicate_key"]);
            let is_deep = value.as_ref().is_ok_and(|value| depth(value) > limits::JSON_DEPTH);
            assert!(value.is_err() || is_deep || error.code() == "request.duplicate_key", "{error}");
        }
    }
}

pub(crate) fn audit_filters(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(uri) = format!("/v1/audit/events?{text}").parse::<Uri>() else { return };
    match fuzzing::audit_filters(&uri) {
        Ok(filters) => {
            assert_eq!(fuzzing::audit_filters(&uri).unwrap(), filters);
            let known = ["actor", "subject", "action", "from", "to", "limit", "cursor"];
            for pair in text.split('#').next().unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
            {
                let name = pair.split('=').next().unwrap_or_default();
                let escaped = name.contains(['%', '+']);
                assert!(escaped || known.contains(&name), "{name} is no filter");
            }
        }
        Err(error) => refused(&error, &["request.invalid_query"]),
    }
}

/// Headers of lines `name: value`.
fn headers(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let (name, value) = split_once(line, b':');
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()))
        {
            headers.append(name, value);
        }
    }
    headers
}

pub(crate) fn request_headers(bytes: &[u8]) {
    let headers = headers(bytes);
    match fuzzing::bearer(&headers) {
        Ok(token) => {
            let said = headers.get("authorization").map(|value| value.to_str().unwrap());
            assert_eq!(token.is_some(), said.is_some());
            assert!(
                token
                    .is_none_or(|token| said.unwrap().contains(token.expose()) && !token.expose().is_empty())
            );
        }
        Err(error) => refused(&error, &["auth.invalid_token"]),
    }
    match fuzzing::awaited(&headers) {
        Ok(positions) => assert_eq!(positions.is_empty(), headers.get("consistency-token").is_none()),
        Err(error) => refused(&error, &["positions.invalid"]),
    }
    match fuzzing::if_match(&headers) {
        Ok(None) => assert!(headers.get("if-match").is_none_or(|value| value == "*")),
        Ok(Some(_)) => {}
        Err(error) => refused(&error, &["request.stale_version"]),
    }
    if let Err(error) = fuzzing::require_json(&headers) {
        refused(&error, &["request.unsupported_media_type", "request.unsupported_encoding"]);
    }
    let matched = fuzzing::none_match(&headers, b"\"7\"");
    assert!(!matched || headers.get("if-none-match").is_some());
}

/// Ends at each hop (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
];

/// Two bytes that say whom we believe, then headers of lines `name: value`.
pub(crate) fn forwarded_headers(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (is_trusted, who) = (input.byte() % 2 == 1, input.byte() % 3);
    let before = headers(input.0);
    let peer: IpAddr = "192.0.2.7".parse().unwrap();
    let principal = |actor| Principal { actor, session: None, permissions: Permissions::none() };
    let principal = match who {
        0 => None,
        1 => Some(principal(Actor::Anonymous)),
        _ => Some(principal(Actor::Service("shop".to_owned()))),
    };
    let mut after = before.clone();
    match fuzzing::forward(&mut after, peer, is_trusted, principal.as_ref()) {
        Ok(()) => check_forwarded(&before, &after, is_trusted, who),
        Err(error) => refused(&error, &["request.too_many_hops"]),
    }
    let trusted = |address: IpAddr| address == peer || address.is_loopback();
    let client = fuzzing::client(&before, peer, trusted);
    let said = before.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let named = said.flat_map(|value| value.split(',')).filter_map(|one| one.trim().parse::<IpAddr>().ok());
    assert!(client == peer || named.map(|address| address.to_canonical()).any(|address| address == client));
    assert_eq!(fuzzing::client(&before, peer, |_| false), peer, "a stranger is not believed");
}

fn check_forwarded(before: &HeaderMap, after: &HeaderMap, is_trusted: bool, who: u8) {
    for name in HOP_BY_HOP.into_iter().chain(["host", "content-length", "expect", "forwarded", "x-real-ip"]) {
        assert!(!after.contains_key(name), "{name} went on");
    }
    for name in after.keys().filter(|name| name.as_str().contains('_')) {
        let plain = name.as_str().replace('_', "-");
        assert!(plain != "x-forwarded-for" && plain != "x-platform-user", "{name} passes for ours");
    }
    let user: Vec<_> = after.get_all("x-platform-user").iter().collect();
    match who {
        2 => assert_eq!(user, ["service:shop"]),
        _ => assert!(user.is_empty(), "a client says who it is"),
    }
    let all: Vec<_> = after.get_all("x-forwarded-for").iter().collect();
    assert_eq!(all.len(), 1);
    let said = all[0].to_str().unwrap();
    assert!(said == "192.0.2.7" || is_trusted && said.ends_with(", 192.0.2.7"), "{said}");
    assert_eq!(after.get_all("x-forwarded-proto").iter().count(), 1);
    assert_eq!(after.get_all("x-request-id").iter().count(), 1);
    assert_eq!(after.get_all("traceparent").iter().count(), 1);
    assert!(after.get_all("via").iter().next_back().unwrap().as_bytes().ends_with(b"platform"));
    // What a client says in its own name goes on, whatever it asks to be dropped.
    for name in ["authorization", "cookie"] {
        assert!(before.get_all(name).iter().eq(after.get_all(name).iter()), "{name} was dropped");
    }
}

/// A byte that says whether the request was HEAD, then an upstream's answer.
pub(crate) fn upstream_answer(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let to_head = first % 2 == 1;
    // When it is refused depends on the pieces: a head that comes slowly is looked at when it ends.
    let read = |piece| fuzzing::upstream_answer(bytes, piece, to_head).ok().flatten();
    let at_once = read(bytes.len());
    assert!([1, 2, 7].into_iter().all(|piece| read(piece) == at_once), "the pieces change the answer");
    let Some(answer) = at_once else { return };
    assert!((200..1_000).contains(&answer.status));
    for fields in [&answer.headers, &answer.trailers] {
        assert!(HOP_BY_HOP.iter().all(|name| !fields.contains_key(*name)));
    }
    assert!(!answer.trailers.contains_key("content-length"));
    let lengths: Vec<_> = answer.headers.get_all("content-length").iter().collect();
    assert!(lengths.len() <= 1);
    let has_no_body = to_head || matches!(answer.status, 204 | 304);
    assert!(!has_no_body || answer.body.is_empty() && answer.is_over);
    if let (Some(length), false) = (lengths.first(), has_no_body) {
        let length: u64 = length.to_str().unwrap().parse().unwrap();
        assert_eq!(answer.is_over, answer.body.len() as u64 == length);
    }
    assert!(answer.is_over || answer.rest.len() <= 16 * 1_024, "what is not over belongs to the body");
}

/// A client's request.
pub(crate) fn client_request(bytes: &[u8]) {
    let read = |piece| match fuzzing::client_request(bytes, piece) {
        Ok(read) => read,
        Err(error) => {
            let codes = ["malformed_head", "head_too_large", "unsupported_version", "no_tunnels"];
            assert!(codes.iter().any(|code| error.code() == format!("request.{code}")), "{error}");
            None
        }
    };
    let at_once = read(bytes.len());
    assert!([1, 2, 7].into_iter().all(|piece| read(piece) == at_once), "the pieces change the request");
    let Some(request) = at_once else { return };
    let all = |name: &str| request.headers.get_all(name).iter().collect::<Vec<_>>();
    let is_1_1 = request.line.ends_with("HTTP/1.1");
    assert!(all("host").len() == 1 || !is_1_1 && all("host").is_empty());
    assert!(all("content-length").len() <= 1);
    match (all("transfer-encoding").as_slice(), all("content-length").as_slice()) {
        ([], []) => assert_eq!(request.length, Some(0)),
        ([], [length]) => assert_eq!(length.to_str().unwrap().parse().ok(), request.length),
        ([coding], []) => {
            assert!(is_1_1 && coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
            assert_eq!(request.length, None);
        }
        both => panic!("{both:?} can be understood in two ways"),
    }
    assert!(bytes.ends_with(&request.rest));
}

pub(crate) fn smtp_reply(bytes: &[u8]) {
    match fuzzing::smtp_reply(bytes) {
        Ok((code, lines, status)) => {
            assert!((200..600).contains(&code) && (1..=100).contains(&lines.len()));
            assert!(lines.iter().all(|line| line.len() <= 3 * 1_024 && !line.contains('\n')));
            assert!(status.starts_with(&code.to_string()) && status.len() <= 15);
        }
        Err(error) => {
            use std::io::ErrorKind::{InvalidData, UnexpectedEof};
            assert!(matches!(error.kind(), InvalidData | UnexpectedEof), "{error}");
        }
    }
}

pub(crate) fn smtp_url(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match SmtpUrl::parse(text) {
        Ok(url) => {
            assert!(!url.host.is_empty() && url.port > 0);
            assert!(!url.host.contains(['@', '/', '?', '#', ' ']));
            if let Some((user, password)) = &url.credentials {
                assert!(!user.is_empty() && !password.expose().is_empty());
                assert!(password.expose().len() < 9 || !format!("{url:?}").contains(password.expose()));
            }
        }
        Err(error) => {
            refused(&error, &["config.invalid_smtp_url"]);
            assert!(
                text.len() < 9 || !format!("{error} {error:?}").contains(text),
                "an error repeats the URL"
            );
        }
    }
}
