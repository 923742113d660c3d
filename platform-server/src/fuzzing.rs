//! What fuzz targets reach behind the facade.

use std::io;
use std::net::IpAddr;

use bytes::BytesMut;
use futures_util::FutureExt;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, Uri};
use platform_core::kernel::{
    ClientInfo, CorrelationId, Positions, Principal, RawId, Result, Secret, TraceParent,
};

use crate::app::Peer;
use crate::config::{ConfigError, Loaded};
use crate::http_server::{Deadlines, Watch};
use crate::http1::{RequestReader, whole};
use crate::marks::Marks;
use crate::proxy::headers::{Hop, client_address, fields, refuse_loop, towards_upstream};
use crate::rest::{Extract, IfMatch, Query, Received, RequestInfo, audit, headers, json};
use crate::smtp::reply::read_reply;

/// The settings of a file of this text, and of nothing else.
///
/// # Errors
/// What is wrong with it.
pub fn config(text: &str) -> Result<Loaded, ConfigError> {
    crate::config::of_text(text)
}

/// Checks a body of JSON.
///
/// # Errors
/// `request.malformed_json`, `request.too_deep`, `request.too_many_values`, `request.too_many_keys`, `request.duplicate_key`.
pub fn check_json(body: &[u8]) -> Result<()> {
    json::check(body)
}

/// How the filters in a query for audit entries were understood.
///
/// # Errors
/// `request.invalid_query`.
pub fn audit_filters(uri: &Uri) -> Result<String> {
    let received = Received { uri: uri.clone(), ..Received::default() };
    Query::<audit::Search>::extract(&received).map(|Query(search)| format!("{search:?}"))
}

/// The version that `If-Match` demands.
///
/// # Errors
/// `request.stale_version`.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>> {
    let received = Received { headers: headers.clone(), ..Received::default() };
    IfMatch::extract(&received).map(|IfMatch(version)| version)
}

/// The bearer token.
///
/// # Errors
/// `auth.invalid_token`.
pub fn bearer(of: &HeaderMap) -> Result<Option<Secret>> {
    headers::bearer(of).map(|token| token.map(|token| token.to_secret()))
}

/// The positions in `Consistency-Token`.
///
/// # Errors
/// `positions.invalid`.
pub fn awaited(of: &HeaderMap) -> Result<Positions> {
    headers::awaited(of)
}

/// Whether the body is declared as JSON in UTF-8, and as uncompressed.
///
/// # Errors
/// `request.unsupported_media_type`, `request.unsupported_encoding`.
pub fn require_json(of: &HeaderMap) -> Result<()> {
    headers::require_json(of).and_then(|()| headers::require_identity(of))
}

/// Whether `If-None-Match` holds this tag.
pub fn none_match(of: &HeaderMap, tag: &[u8]) -> bool {
    headers::none_match(of, tag)
}

/// Makes the headers of a client's request those of the upstream's.
///
/// # Errors
/// `request.too_many_hops`.
pub fn forward(
    headers: &mut HeaderMap,
    peer: IpAddr,
    is_trusted: bool,
    who: Option<&Principal>,
) -> Result<()> {
    let info = RequestInfo {
        correlation_id: CorrelationId::from_raw(RawId([1; 16])),
        trace: TraceParent { trace_id: 1, span_id: 1, flags: 0 },
        client: ClientInfo::default(),
    };
    let hop = Hop {
        marks: &Marks::of(&info, None),
        peer: &Peer::new((peer, 1).into(), true, Watch::new(Deadlines::default(), None)),
        is_trusted,
        authority: Some(HeaderValue::from_static("front.example")),
    };
    let mut request = Request::new(()).into_parts().0;
    refuse_loop(headers)?;
    request.headers = std::mem::take(headers);
    let mut text = Vec::new();
    towards_upstream(&mut text, &request, &hop, who, &HeaderValue::from_static("upstream.example"));
    *headers = fields(&text);
    headers.remove(HOST);
    Ok(())
}

/// What was understood of an upstream's answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields for the client.
    pub headers: HeaderMap,
    /// The body, as far as it has come.
    pub body: Vec<u8>,
    /// What followed the body.
    pub trailers: HeaderMap,
    /// Whether that is all of it, should the upstream close now.
    pub is_over: bool,
    /// Whether another request may follow.
    pub is_kept: bool,
    /// What came behind it.
    pub rest: Vec<u8>,
}

/// Reads an upstream's answer that comes in pieces of `piece` bytes; `None` when its head is not whole.
///
/// # Errors
/// What is wrong with it.
pub fn upstream_answer(
    bytes: &[u8],
    piece: usize,
    to_head: bool,
) -> std::result::Result<Option<Answer>, String> {
    let whole = whole::read(bytes.chunks(piece.max(1)), to_head).map_err(|error| error.to_string())?;
    Ok(whole.map(|whole| Answer {
        status: whole.head.parts.status.as_u16(),
        headers: whole.head.parts.headers,
        body: whole.body,
        trailers: whole.trailers,
        is_over: whole.is_over,
        is_kept: whole.head.is_kept,
        rest: whole.rest,
    }))
}

/// What was understood of a client's request.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientHead {
    /// The line, anew.
    pub line: String,
    /// All fields.
    pub headers: HeaderMap,
    /// Bytes of the body, if they are told.
    pub length: Option<u64>,
    /// Whether another request may follow.
    pub is_kept: bool,
    /// What comes behind the head.
    pub rest: Vec<u8>,
}

/// Reads the head of a client's request that comes in pieces of `piece` bytes; `None` when it is not whole.
///
/// # Errors
/// `request.malformed_head`, `request.head_too_large`, `request.unsupported_version`, `request.no_tunnels`.
pub fn client_request(bytes: &[u8], piece: usize) -> Result<Option<ClientHead>> {
    let (mut buffer, mut reader) = (BytesMut::new(), RequestReader::default());
    let mut read = None;
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        if read.is_none() {
            read = reader.read(&mut buffer)?;
        }
    }
    Ok(read.map(|request| ClientHead {
        line: format!("{} {} {:?}", request.parts.method, request.parts.uri, request.parts.version),
        headers: request.parts.headers,
        length: request.framing.left(),
        is_kept: request.is_kept,
        rest: buffer.to_vec(),
    }))
}

/// The address of the client.
pub fn client(headers: &HeaderMap, peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    client_address(headers, peer, is_trusted)
}

/// A mail server's reply: code, lines and status.
///
/// # Errors
/// `UnexpectedEof`, `InvalidData`.
pub fn smtp_reply(mut bytes: &[u8]) -> io::Result<(u16, Vec<String>, String)> {
    let reply = read_reply(&mut bytes).now_or_never().ok_or(io::ErrorKind::WouldBlock)??;
    let status = reply.status().to_string();
    Ok((reply.code, reply.lines, status))
}
