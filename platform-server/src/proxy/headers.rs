//! Headers between hops: what ends here, what nobody but us may say, and what we add
//! (RFC 9110, 7.6; RFC 7239; W3C Trace Context).

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use platform_core::kernel::{Actor, Error, Principal, Result};

use crate::http_server::Watch;
use crate::rest::{REQUEST_ID, RequestInfo, TRACEPARENT};

/// Between whom we stand.
pub(crate) struct Hop<'a> {
    /// What is known of the request.
    pub(crate) info: &'a RequestInfo,
    /// The address on the other end of the connection.
    pub(crate) peer: IpAddr,
    /// Whether that is a proxy whose `X-Forwarded-*` we believe.
    pub(crate) is_trusted: bool,
    /// Whether the connection is encrypted.
    pub(crate) is_tls: bool,
    /// The version that the client speaks.
    pub(crate) version: Version,
    /// The host that the client asked for.
    pub(crate) authority: Option<HeaderValue>,
    /// The deadlines of the connection.
    pub(crate) watch: &'a Arc<Watch>,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const USER: HeaderName = HeaderName::from_static("x-platform-user");

/// Ends at each hop (RFC 9110, 7.6.1), and what `Connection` names besides.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
];

/// Said by us alone; a client's own words are dropped, also when written with underscores, which some
/// servers read as hyphens.
const OURS: [&str; 12] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-client-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-user-id",
    "x-platform-user",
    "forwarded",
];

/// Prepares the headers of a request for the upstream.
///
/// # Errors
/// `request.too_many_hops` when the request has passed this gateway too often.
pub(crate) fn towards_upstream(
    headers: &mut HeaderMap,
    hop: &Hop<'_>,
    principal: Option<&Principal>,
) -> Result<()> {
    let before = hop.is_trusted.then(|| headers.get_all(X_FORWARDED_FOR).iter().cloned().collect::<Vec<_>>());
    let host_before = hop.is_trusted.then(|| headers.get(X_FORWARDED_HOST).cloned()).flatten();
    let proto_before = hop.is_trusted.then(|| headers.get(X_FORWARDED_PROTO).cloned()).flatten();
    remove_hop_by_hop(headers);
    remove_ours(headers);
    // Framing is made anew from the body, and `100-continue` is answered here.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    headers.remove(header::HOST);
    set_via(headers, hop.version)?;
    set(headers, X_FORWARDED_FOR, &forwarded_for(before.unwrap_or_default(), hop.peer));
    let proto = HeaderValue::from_static(if hop.is_tls { "https" } else { "http" });
    headers.insert(X_FORWARDED_PROTO, proto_before.unwrap_or(proto));
    if let Some(host) = host_before.or_else(|| hop.authority.clone()) {
        headers.insert(X_FORWARDED_HOST, host);
    }
    set(headers, REQUEST_ID, hop.info.correlation_id.as_str());
    set(headers, TRACEPARENT, &hop.info.trace.to_string());
    match principal.map(|principal| &principal.actor) {
        Some(Actor::User(user)) => set(headers, USER, &user.to_string()),
        Some(Actor::Service(service)) => set(headers, USER, &format!("service:{service}")),
        _ => {}
    }
    Ok(())
}

/// Prepares the headers of a response for the client.
pub(crate) fn towards_client(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.append(header::VIA, HeaderValue::from_static("1.1 platform"));
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            // A client must not make us drop what the upstream relies on.
            .filter(|name| *name != header::AUTHORIZATION && *name != header::COOKIE && *name != header::HOST)
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn remove_ours(headers: &mut HeaderMap) {
    for name in OURS {
        headers.remove(name);
    }
    let disguised: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().contains('_'))
        .filter(|name| OURS.contains(&name.as_str().replace('_', "-").as_str()))
        .cloned()
        .collect();
    for name in disguised {
        headers.remove(name);
    }
}

/// More than this many gateways in a row is a loop.
const HOPS: usize = 16;

fn set_via(headers: &mut HeaderMap, version: Version) -> Result<()> {
    let hops = headers
        .get_all(header::VIA)
        .iter()
        .map(|via| via.as_bytes().split(|byte| *byte == b',').count())
        .sum::<usize>();
    if hops >= HOPS {
        return Err(Error::invalid("request.too_many_hops", "the request goes in circles"));
    }
    let via = match version {
        Version::HTTP_2 => "2.0 platform",
        Version::HTTP_10 => "1.0 platform",
        _ => "1.1 platform",
    };
    headers.append(header::VIA, HeaderValue::from_static(via));
    Ok(())
}

fn forwarded_for(before: Vec<HeaderValue>, peer: IpAddr) -> String {
    let mut text = String::new();
    for value in before.iter().filter_map(|value| value.to_str().ok()) {
        text.push_str(value);
        text.push_str(", ");
    }
    text.push_str(&peer.to_string());
    text
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_server::Deadlines;
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
            info: &info,
            peer: "10.0.0.9".parse().unwrap(),
            is_trusted,
            is_tls: true,
            version: Version::HTTP_11,
            authority: Some(HeaderValue::from_static("shop.example")),
            watch: &Watch::new(Deadlines::default(), None),
        };
        let mut headers = headers(pairs);
        towards_upstream(&mut headers, &hop, None).unwrap();
        headers
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
        assert!(set_via(&mut headers, Version::HTTP_11).is_ok());
        headers.append("via", headers["via"].clone());
        assert_eq!(set_via(&mut headers, Version::HTTP_11).unwrap_err().code(), "request.too_many_hops");
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
