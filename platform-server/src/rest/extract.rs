//! What a handler may ask for: path, query, body, conditions.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use http::{HeaderMap, Uri, header};
use platform_core::kernel::{Cursor, Error, PageRequest, Result};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::openapi::Operation;
use super::{headers, json};

/// A request, read completely.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The values of the path's parameters, in the order of the path.
    pub path: Vec<String>,
    /// The target.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A part of a request that a handler asks for.
pub trait Extract: Sized + Send + 'static {
    /// Adds it to the OpenAPI document.
    fn describe(operation: &mut Operation);

    /// Reads it.
    ///
    /// # Errors
    /// `request.…` of the kind InvalidInput.
    fn extract(received: &Received) -> Result<Self>;
}

/// The only parameter of the path.
pub struct Path<T>(pub T);

/// Both parameters of the path.
pub struct Path2<A, B>(pub A, pub B);

fn path_value<T: FromStr<Err: Display>>(received: &Received, index: usize) -> Result<T> {
    let text = received.path.get(index).map_or("", String::as_str);
    text.parse().map_err(|cause: T::Err| {
        Error::invalid("request.invalid_path", format!("a parameter of the path is not valid: {cause}"))
            .with("index", index)
    })
}

impl<T: FromStr<Err: Display> + ToSchema + Send + 'static> Extract for Path<T> {
    fn describe(operation: &mut Operation) {
        operation.path_parameter::<T>(0);
    }

    fn extract(received: &Received) -> Result<Self> {
        Ok(Path(path_value(received, 0)?))
    }
}

impl<A, B> Extract for Path2<A, B>
where
    A: FromStr<Err: Display> + ToSchema + Send + 'static,
    B: FromStr<Err: Display> + ToSchema + Send + 'static,
{
    fn describe(operation: &mut Operation) {
        operation.path_parameter::<A>(0);
        operation.path_parameter::<B>(1);
    }

    fn extract(received: &Received) -> Result<Self> {
        Ok(Path2(path_value(received, 0)?, path_value(received, 1)?))
    }
}

/// The query, as a struct with `#[serde(deny_unknown_fields)]`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + ToSchema + Send + 'static> Extract for Query<T> {
    fn describe(operation: &mut Operation) {
        operation.query_parameters::<T>();
    }

    fn extract(received: &Received) -> Result<Self> {
        match axum::extract::Query::<T>::try_from_uri(&received.uri) {
            Ok(axum::extract::Query(query)) => Ok(Query(query)),
            Err(rejection) => Err(Error::invalid("request.invalid_query", rejection.body_text())),
        }
    }
}

/// The query of a list that has no filters.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// Items at most, 1 to 500.
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

impl Paging {
    /// Which page it asks for.
    ///
    /// # Errors
    /// `request.invalid_limit`.
    pub fn page(self) -> Result<PageRequest> {
        page(self.limit, self.cursor)
    }
}

/// Which page a list's query asks for.
///
/// # Errors
/// `request.invalid_limit`.
pub fn page(limit: Option<usize>, cursor: Option<Cursor>) -> Result<PageRequest> {
    let page = PageRequest { limit, cursor };
    page.limit()?;
    Ok(page)
}

/// A JSON body. No body at all counts as `{}`.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + ToSchema + Send + 'static> Extract for Body<T> {
    fn describe(operation: &mut Operation) {
        operation.body::<T>();
    }

    fn extract(received: &Received) -> Result<Self> {
        if received.body.is_empty() {
            return json::parse(b"{}").map(Body);
        }
        headers::require_json(&received.headers)?;
        json::parse(&received.body).map(Body)
    }
}

/// A JSON body as it came: checked for syntax, depth and duplicate keys, and not interpreted.
pub struct RawBody(pub Bytes);

impl Extract for RawBody {
    fn describe(operation: &mut Operation) {
        operation.body::<serde_json::Value>();
    }

    fn extract(received: &Received) -> Result<Self> {
        headers::require_json(&received.headers)?;
        json::check(&received.body)?;
        Ok(RawBody(received.body.clone()))
    }
}

/// The version that `If-Match` demands; `None` without the header or for `*`.
pub struct IfMatch(pub Option<u64>);

impl Extract for IfMatch {
    fn describe(operation: &mut Operation) {
        operation.header_parameter("If-Match", "the ETag on which the change is based; a stale one is 412");
    }

    fn extract(received: &Received) -> Result<Self> {
        let Some(value) = received.headers.get(header::IF_MATCH) else { return Ok(IfMatch(None)) };
        match value.as_bytes() {
            b"*" => Ok(IfMatch(None)),
            // What is not a tag of ours matches nothing (RFC 9110, 13.1.1, strong comparison).
            tag => match std::str::from_utf8(tag)
                .ok()
                .and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok())
            {
                Some(version) => Ok(IfMatch(Some(version))),
                None => Err(Error::precondition("request.stale_version", "the ETag is not the present one")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform_core::kernel::UserId;
    use serde::Deserialize;

    fn received(uri: &str) -> Received {
        Received { uri: uri.parse().unwrap(), ..Received::default() }
    }

    #[derive(Debug, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    struct Search {
        limit: Option<usize>,
        name_prefix: Option<String>,
    }

    #[test]
    fn a_query_is_typed_and_refuses_what_it_does_not_know() {
        let Query(search) =
            Query::<Search>::extract(&received("/v1/users?limit=5&name_prefix=a%20b")).unwrap();
        assert_eq!((search.limit, search.name_prefix.as_deref()), (Some(5), Some("a b")));
        for bad in ["?limit=x", "?limit=-1", "?other=1", "?limit=1&limit=2"] {
            let error = Query::<Search>::extract(&received(&format!("/v1/users{bad}"))).err().unwrap();
            assert_eq!(error.code(), "request.invalid_query", "{bad}");
        }
    }

    #[test]
    fn a_malformed_id_in_the_path_is_invalid_input() {
        let mut request = received("/v1/users/x");
        request.path = vec!["x".into()];
        assert_eq!(Path::<UserId>::extract(&request).err().unwrap().code(), "request.invalid_path");
    }

    #[test]
    fn if_match_reads_our_tags_and_nothing_else_matches() {
        let mut request = received("/");
        assert_eq!(IfMatch::extract(&request).unwrap().0, None);
        for (tag, version) in [("*", None), ("\"42\"", Some(42))] {
            request.headers.insert(header::IF_MATCH, tag.parse().unwrap());
            assert_eq!(IfMatch::extract(&request).unwrap().0, version);
        }
        for tag in ["W/\"42\"", "42", "\"x\"", "\"1\", \"2\""] {
            request.headers.insert(header::IF_MATCH, tag.parse().unwrap());
            assert_eq!(IfMatch::extract(&request).err().unwrap().code(), "request.stale_version", "{tag}");
        }
    }
}
