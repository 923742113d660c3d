//! What the headers of a request say: who, which request, which trace, under which key.

use http::{HeaderMap, HeaderName, header};
use platform_core::kernel::{
    ClientInfo, Context, CorrelationId, Error, Positions, Result, Secret, TraceParent, limits,
};

use super::Endpoint;

/// `X-Request-Id`.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `traceparent` of W3C Trace Context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `Consistency-Token`: what a call has committed, and what a call waits for before it begins.
pub(crate) const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const CHANGE_REASON: HeaderName = HeaderName::from_static("x-change-reason");

/// What is known of a request before anything of it is interpreted.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    /// The caller's `X-Request-Id` when it is one, else a fresh one.
    pub correlation_id: CorrelationId,
    /// The caller's trace with a span of ours, or a new trace.
    pub trace: TraceParent,
    /// Where it came from.
    pub client: ClientInfo,
}

/// Fills in what the headers say of a call: its key and its reason.
///
/// # Errors
/// `idempotency.invalid_key`, `request.invalid_reason`, `request.invalid_header`.
pub(crate) fn fill(context: &mut Context, endpoint: &Endpoint, headers: &HeaderMap) -> Result<()> {
    if endpoint.is_idempotent
        && let Some(key) = only(headers, &IDEMPOTENCY_KEY)?
    {
        context.idempotency_key = Some(key.parse()?);
    }
    if let Some(reason) = only(headers, &CHANGE_REASON)? {
        if reason.len() > limits::NAME_BYTES {
            return Err(Error::invalid("request.invalid_reason", "a reason is at most 200 bytes"));
        }
        context.reason = Some(reason.to_owned());
    }
    Ok(())
}

/// What the call is to see: the tokens of earlier answers, in one header or several.
///
/// # Errors
/// `positions.invalid`.
pub(crate) fn awaited(headers: &HeaderMap) -> Result<Positions> {
    let mut awaited = Positions::default();
    for value in headers.get_all(CONSISTENCY_TOKEN) {
        // What is no text is no token either.
        let token: Positions = value.to_str().unwrap_or_default().parse()?;
        token.iter().for_each(|(store, position)| awaited.include(store, position));
    }
    Ok(awaited)
}

/// A token as it stands in a header; it does not print.
pub(crate) struct BearerToken<'a>(&'a str);

impl std::fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken")
    }
}

impl<'a> BearerToken<'a> {
    /// The token.
    pub(crate) fn expose(&self) -> &'a str {
        self.0
    }

    /// The token, to be kept.
    pub(crate) fn to_secret(&self) -> Secret {
        Secret::new(self.0)
    }
}

/// The bearer token of `Authorization`, if there is the header.
///
/// # Errors
/// `auth.invalid_token` for another scheme or more than one header.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<BearerToken<'_>>> {
    let invalid =
        || Error::unauthenticated("auth.invalid_token", "Authorization is `Bearer` and an access token");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| invalid())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(invalid)?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || values.next().is_some() {
        return Err(invalid());
    }
    Ok(Some(BearerToken(token)))
}

/// Demands a JSON content type: `application/json` or `application/…+json`, in UTF-8.
///
/// # Errors
/// `request.unsupported_media_type`.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<()> {
    let unsupported =
        || Error::invalid("request.unsupported_media_type", "the body is application/json in UTF-8");
    let value = only(headers, &header::CONTENT_TYPE).ok().flatten().ok_or_else(unsupported)?;
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
            charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if is_json && is_utf8 { Ok(()) } else { Err(unsupported()) }
}

/// Demands that the body is not compressed.
///
/// # Errors
/// `request.unsupported_encoding`.
pub(crate) fn require_identity(headers: &HeaderMap) -> Result<()> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Error::invalid("request.unsupported_encoding", "send the body without Content-Encoding"))
        }
        _ => Ok(()),
    }
}

/// Whether `If-None-Match` holds this tag (weak comparison, RFC 9110, 13.1.2).
pub(crate) fn none_match(headers: &HeaderMap, tag: &[u8]) -> bool {
    fn opaque(tag: &[u8]) -> &[u8] {
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|candidate| candidate == b"*" || opaque(candidate) == opaque(tag))
}

/// The text of a header that may occur once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>> {
    let invalid = || {
        Error::invalid("request.invalid_header", "a header is not text, or occurs more than once")
            .with("header", name.as_str())
    };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid());
    }
    std::str::from_utf8(value.as_bytes()).map(Some).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_bearer_token_is_read_and_nothing_else_passes() {
        assert!(bearer(&headers(&[])).unwrap().is_none());
        assert_eq!(bearer(&headers(&[("authorization", "bearer abc")])).unwrap().unwrap().expose(), "abc");
        for bad in ["Basic YTpi", "Bearer", "Bearer ", "abc"] {
            assert_eq!(bearer(&headers(&[("authorization", bad)])).unwrap_err().code(), "auth.invalid_token");
        }
    }

    #[test]
    fn json_is_json_in_utf_8() {
        for good in ["application/json", "application/json; charset=UTF-8", "application/merge-patch+json"] {
            assert!(require_json(&headers(&[("content-type", good)])).is_ok(), "{good}");
        }
        for bad in
            ["text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded", "json"]
        {
            assert!(require_json(&headers(&[("content-type", bad)])).is_err(), "{bad}");
        }
        assert!(require_json(&headers(&[])).is_err());
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let sent = headers(&[("if-none-match", "\"a\", W/\"b\"")]);
        assert!(none_match(&sent, b"\"b\"") && none_match(&sent, b"W/\"a\"") && !none_match(&sent, b"\"c\""));
        assert!(none_match(&headers(&[("if-none-match", "*")]), b"\"c\""));
    }
}
