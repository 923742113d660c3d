//! The errors of this domain, each with its stable code.

use std::time::Duration;

use crate::kernel::{Error, Retry};

/// A route that cannot be used; `pointer` (RFC 6901) names the place.
pub(super) fn invalid_route(pointer: impl std::fmt::Display, why: &'static str) -> Error {
    Error::invalid("gateway.invalid_route", why).with("pointer", pointer)
}

/// A route name that is none.
pub(super) fn invalid_name() -> Error {
    Error::invalid(
        "gateway.invalid_route_name",
        "a route's name is 1 to 64 of a-z, 0-9, dot, hyphen and underscore, beginning with a letter or digit",
    )
}

/// No route has this name.
pub(super) fn route_not_found() -> Error {
    Error::not_found("gateway.route_not_found", "there is no such route")
}

/// Another route answers the same host, path and method.
pub(super) fn route_conflict(other: &str) -> Error {
    Error::already_exists("gateway.route_conflict", "another route has the same host, path and method")
        .with("route", other)
}

/// The number of routes is at its limit.
pub(super) fn too_many_routes(limit: usize) -> Error {
    Error::limit("gateway.too_many_routes", "the table of routes is full").with("limit", limit)
}

/// The stored route is not the one that the caller has seen.
pub(super) fn stale_revision(present: u64) -> Error {
    Error::precondition("gateway.stale_revision", "the route has been changed since").with("present", present)
}

/// Nothing answers here.
pub(super) fn no_route() -> Error {
    Error::not_found("gateway.no_route", "nothing answers this host and path")
}

/// A path that servers read in different ways.
pub(super) fn ambiguous_path() -> Error {
    Error::invalid(
        "gateway.ambiguous_path",
        "the path has dot segments, empty segments, backslashes, control characters or a broken escape",
    )
}

/// Too many requests.
pub(super) fn rate_limited(retry_after: Duration) -> Error {
    Error::limit("gateway.rate_limited", "too many requests").retry(Retry::After(retry_after))
}

/// The circuit of a target is open.
pub(super) fn circuit_open(retry_after: Duration) -> Error {
    Error::unavailable("gateway.circuit_open", "the service behind this route is failing")
        .retry(Retry::After(retry_after))
}

/// As many requests as may wait for a target do.
pub(super) fn upstream_busy() -> Error {
    Error::unavailable("gateway.upstream_busy", "too many requests wait for the service behind this route")
        .retry(Retry::After(Duration::from_secs(1)))
}
