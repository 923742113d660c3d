//! Headers between hops: what ends here, what nobody but us may say, and what we add
//! (RFC 9110, 7.6; RFC 7239; W3C Trace Context).

use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use platform_core::kernel::{Actor, Error, Principal, Result};

use crate::app::Peer;
use crate::http1::{is_hop_by_hop, write_field};
use crate::marks::Marks;

/// Between whom we stand.
pub(crate) struct Hop<'a> {
    /// What marks the request on both sides.
    pub(crate) marks: &'a Marks,
    /// The other end of the connection.
    pub(crate) peer: &'a Peer,
    /// Whether that is a proxy whose `X-Forwarded-*` we believe.
    pub(crate) is_trusted: bool,
    /// The host that the client asked for.
    pub(crate) authority: Option<HeaderValue>,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const USER: HeaderName = HeaderName::from_static("x-platform-user");

/// Said by us alone; a client's own words are dropped.
fn is_ours(name: &str) -> bool {
    matches!(
        name,
        "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-proto"
            | "x-forwarded-port"
            | "x-forwarded-prefix"
            | "x-real-ip"
            | "x-client-ip"
            | "x-original-url"
            | "x-rewrite-url"
            | "x-user-id"
            | "x-platform-user"
            | "forwarded"
    )
}

/// Framing is made anew from the body, and `100-continue` is answered here; the marks are the request's own.
fn is_made_anew(name: &str) -> bool {
    matches!(name, "host" | "content-length" | "expect" | "x-request-id" | "traceparent")
}

/// Whether a field of a client's ends here.
fn ends_here(name: &str) -> bool {
    // Some servers read underscores as hyphens.
    is_hop_by_hop(name)
        || is_made_anew(name)
        || is_ours(name)
        || name.as_bytes().contains(&b'_') && is_ours(&name.replace('_', "-"))
}

/// Writes the fields of a request for an upstream whose name is `host`, all but those that tell the length.
pub(crate) fn towards_upstream(
    out: &mut Vec<u8>,
    request: &Parts,
    hop: &Hop<'_>,
    principal: Option<&Principal>,
    host: &HeaderValue,
) {
    let from = &request.headers;
    let mut write =
        |name: &HeaderName, value: &HeaderValue| write_field(out, name.as_str(), value.as_bytes());
    write(&header::HOST, host);
    let named = named_by_connection(from);
    for (name, value) in from {
        if !ends_here(name.as_str()) && !named.contains(name) {
            write(name, value);
        }
    }
    write(&header::VIA, &via(request.version));
    let before = |name| if hop.is_trusted { from.get(name) } else { None };
    write(&X_FORWARDED_FOR, &forwarded_for(from, hop));
    let proto = HeaderValue::from_static(if hop.peer.is_tls { "https" } else { "http" });
    write(&X_FORWARDED_PROTO, before(X_FORWARDED_PROTO).unwrap_or(&proto));
    if let Some(host) = before(X_FORWARDED_HOST).or(hop.authority.as_ref()) {
        write(&X_FORWARDED_HOST, host);
    }
    for (name, value) in hop.marks.iter() {
        write(&name, value);
    }
    let user = match principal.map(|principal| &principal.actor) {
        Some(Actor::User(user)) => HeaderValue::try_from(user.to_string()).ok(),
        Some(Actor::Service(service)) => HeaderValue::try_from(format!("service:{service}")).ok(),
        _ => None,
    };
    if let Some(user) = user {
        write(&USER, &user);
    }
}

/// Prepares the headers of a response for the client. What ends at each hop is gone already.
pub(crate) fn towards_client(headers: &mut HeaderMap) {
    headers.append(header::VIA, HeaderValue::from_static("1.1 platform"));
}

/// What `Connection` names besides what ends at each hop anyway.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter();
    let names = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    names
        .map(str::trim)
        .filter(|name| !name.eq_ignore_ascii_case("keep-alive") && !name.eq_ignore_ascii_case("close"))
        .filter_map(|name| name.parse().ok())
        // A client must not make us drop what the upstream relies on.
        .filter(|name| *name != header::AUTHORIZATION && *name != header::COOKIE && *name != header::HOST)
        .collect()
}

/// More than this many gateways in a row is a loop.
const HOPS: usize = 16;

/// Refuses a request that has passed gateways like this one too often.
///
/// # Errors
/// `request.too_many_hops`.
pub(crate) fn refuse_loop(headers: &HeaderMap) -> Result<()> {
    let count = |via: &HeaderValue| via.as_bytes().split(|byte| *byte == b',').count();
    if headers.get_all(header::VIA).iter().map(count).sum::<usize>() >= HOPS {
        return Err(Error::invalid("request.too_many_hops", "the request goes in circles"));
    }
    Ok(())
}

fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2.0 platform",
        Version::HTTP_10 => "1.0 platform",
        _ => "1.1 platform",
    })
}

/// The address of the peer, after those that a trusted proxy names.
fn forwarded_for(from: &HeaderMap, hop: &Hop<'_>) -> HeaderValue {
    let peer = hop.peer.forwarded_for();
    if !hop.is_trusted || !from.contains_key(X_FORWARDED_FOR) {
        return peer.clone();
    }
    let mut text = String::new();
    for value in from.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()) {
        text.push_str(value);
        text.push_str(", ");
    }
    text.push_str(peer.to_str().unwrap_or_default());
    HeaderValue::try_from(text).unwrap_or_else(|_| peer.clone())
}

/// The address of the client: the peer's, or behind trusted proxies the last address in `X-Forwarded-For`
/// that is not one of theirs.
pub(crate) fn client_address(
    headers: &HeaderMap,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let values: Vec<&str> =
        headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut client = peer;
    for text in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        // What cannot be read ends the chain that can be believed.
        let Ok(address) = text.trim().parse::<IpAddr>() else { return client };
        client = address.to_canonical();
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

/// The fields that were written.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fields(text: &[u8]) -> HeaderMap {
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"));
    let parts = lines.filter_map(|line| line.split_at_checked(line.iter().position(|byte| *byte == b':')?));
    let named = parts.filter_map(|(name, value)| Some((name, value.strip_prefix(b": ")?)));
    named
        .filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_server::{Deadlines, Watch};
    use crate::rest::RequestInfo;
    use platform_core::kernel::{ClientInfo, TraceParent};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn prepared(pairs: &[(&'static str, &'static str)], is_trusted: bool) -> HeaderMap {
        let info = RequestInfo {
            correlation_id: "req_1".parse().unwrap(),
            trace: TraceParent { trace_id: 1, span_id: 2, flags: 1 },
            client: ClientInfo::default(),
        };
        let hop = Hop {
            marks: &Marks::of(&info, None),
            peer: &Peer::new("10.0.0.9:1".parse().unwrap(), true, Watch::new(Deadlines::default(), None)),
            is_trusted,
            authority: Some(HeaderValue::from_static("shop.example")),
        };
        let mut request = http::Request::new(()).into_parts().0;
        request.headers = headers(pairs);
        let mut text = Vec::new();
        towards_upstream(&mut text, &request, &hop, None, &HeaderValue::from_static("upstream:81"));
        fields(&text)
    }

    #[test]
    fn what_belongs_to_a_hop_ends_here() {
        let headers = prepared(
            &[
                ("connection", "close, X-Private"),
                ("x-private", "1"),
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("content-length", "5"),
                ("upgrade", "websocket"),
                ("accept", "*/*"),
            ],
            false,
        );
        for gone in ["connection", "x-private", "te", "transfer-encoding", "content-length", "upgrade"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert!(headers.contains_key("accept"));
    }

    #[test]
    fn a_client_cannot_name_authorization_as_hop_by_hop() {
        let headers = prepared(
            &[("connection", "authorization, x-forwarded-for"), ("authorization", "Bearer x")],
            false,
        );
        assert_eq!(headers["authorization"], "Bearer x");
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
    }

    #[test]
    fn who_the_client_is_nobody_says_but_us() {
        let headers = prepared(
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x_forwarded_for", "1.2.3.4"),
                ("x-platform-user", "user_admin"),
                ("x-user-id", "1"),
                ("forwarded", "for=1.2.3.4"),
                ("x-forwarded-host", "evil"),
                ("x-forwarded-proto", "http"),
            ],
            false,
        );
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        assert_eq!(headers["x-forwarded-host"], "shop.example");
        assert_eq!(headers["x-forwarded-proto"], "https");
        for gone in ["x-platform-user", "x-user-id", "forwarded", "x_forwarded_for"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers["via"], "1.1 platform");
        assert_eq!(headers["traceparent"], "00-00000000000000000000000000000001-0000000000000002-01");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_its_chain_goes_on() {
        let headers = prepared(&[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-host", "outer")], true);
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 10.0.0.9");
        assert_eq!(headers["x-forwarded-host"], "outer");
    }

    #[test]
    fn a_loop_ends() {
        let mut headers = headers(&[("via", "1.1 a, 1.1 b, 1.1 c, 1.1 d, 1.1 e, 1.1 f, 1.1 g, 1.1 h")]);
        assert!(refuse_loop(&headers).is_ok());
        headers.append("via", headers["via"].clone());
        assert_eq!(refuse_loop(&headers).unwrap_err().code(), "request.too_many_hops");
    }

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let chain = headers(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2")]);
        assert_eq!(client_address(&chain, ip("10.0.0.1"), trusted), ip("1.2.3.4"));
        assert_eq!(client_address(&chain, ip("8.8.8.8"), trusted), ip("8.8.8.8"));
        let broken = headers(&[("x-forwarded-for", "1.2.3.4, unknown, 10.0.0.2")]);
        assert_eq!(client_address(&broken, ip("10.0.0.1"), trusted), ip("10.0.0.2"));
        assert_eq!(client_address(&HeaderMap::new(), ip("10.0.0.1"), trusted), ip("10.0.0.1"));
    }
}
