//! The streaming reverse proxy: a request goes to an upstream as it comes, and its response back.
//!
//! Bodies are never collected. Each attempt takes a lease of an endpoint, a connection of the pool,
//! and reports how it went; what may be sent again is decided by platform-core's gateway.

mod body;
mod connection;
pub(crate) mod headers;
mod pool;
mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri, Version};
use hyper::body::{Body, Incoming};
use platform_core::gateway::{CompiledRoute, Endpoint, Failure, Outcome, Pool, UpstreamUrl, canonical_path};
use platform_core::kernel::{Error, Principal, Result, Timestamp};

pub(crate) use body::ProxiedBody;
use body::{RequestBody, Upload};
use connection::{Connection, Elapsed};
pub(crate) use headers::{Hop, client_address};
use pool::{Upstream, Upstreams};

use crate::http_server::Allowance;

/// The longest time for a TCP connection to an upstream in the same network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Forwards requests.
#[derive(Default)]
pub struct Proxy {
    upstreams: Upstreams,
}

/// What is to be forwarded, and how.
pub(crate) struct Forward<'a> {
    /// The route that took the request.
    pub(crate) route: &'a CompiledRoute,
    /// The target: the route's own, or a variant's.
    pub(crate) target: &'a Arc<Pool>,
    /// Who asks, if somebody signed in.
    pub(crate) principal: Option<&'a Principal>,
    /// Between whom we stand.
    pub(crate) hop: Hop<'a>,
    /// The clock.
    pub(crate) now: &'a (dyn Fn() -> Timestamp + Send + Sync),
    /// A random number, for the spread of retries.
    pub(crate) random: &'a (dyn Fn() -> u64 + Send + Sync),
}

impl Proxy {
    /// Forwards one request.
    ///
    /// # Errors
    /// `gateway.bad_upstream`, `gateway.upstream_timeout`, `gateway.circuit_open`, `gateway.upstream_busy`,
    /// `request.body_too_large`.
    pub(crate) async fn forward(
        &self,
        request: Request<Incoming>,
        forward: Forward<'_>,
    ) -> Result<Response<ProxiedBody>> {
        let (parts, body) = request.into_parts();
        let limit = forward.route.body_limit_bytes();
        let allowance = Allowance::of(&parts.headers, limit)?;
        headers::refuse_loop(&parts.headers)?;
        let upload =
            (!body.is_end_stream()).then(|| Upload::new(allowance, Arc::clone(&forward.hop.peer.watch)));
        let mut body = Some(match &upload {
            Some(upload) => upload.body(body),
            None => RequestBody::Empty,
        });
        let upload = upload.as_ref();
        let mut tried: Vec<Arc<Endpoint>> = Vec::new();
        loop {
            let lease = forward.target.lease((forward.now)(), &tried, forward.route.waiting_limit())?;
            let endpoint = Arc::clone(lease.endpoint());
            let attempts = tried.len() as u32 + 1;
            // When these fail, the lease is dropped and counts for nothing.
            let target = target(&parts.uri, endpoint.url())?;
            let upstream = self.upstreams.at(endpoint.url())?;
            let to = To { url: endpoint.url(), upstream: &upstream, target: &target, upload };
            let failed = match attempt(&parts, &mut body, to, &forward).await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    let untouched = body_is_untouched(&mut body, upload);
                    let again = Outcome::of_status(status) == Outcome::Failed
                        && self.again(&parts, Failure::Status(status), attempts, untouched, &forward).await;
                    lease.finish(Outcome::of_status(status), (forward.now)());
                    if !again {
                        return Ok(response);
                    }
                    tried.push(endpoint);
                    continue;
                }
                Err(failed) => failed,
            };
            if let Some(error) = upload.and_then(Upload::refusal) {
                // The client broke the rules, not the upstream: the lease counts for nothing.
                return Err(error);
            }
            lease.finish(Outcome::Failed, (forward.now)());
            let untouched = body_is_untouched(&mut body, upload);
            if !self.again(&parts, failed.failure, attempts, untouched, &forward).await {
                return Err(failed.error);
            }
            tried.push(endpoint);
        }
    }

    async fn again(
        &self,
        parts: &Parts,
        failure: Failure,
        attempts: u32,
        untouched: bool,
        forward: &Forward<'_>,
    ) -> bool {
        let method = parts.method.as_str();
        let wait =
            forward.target.retry(method, failure, attempts, untouched, (forward.now)(), (forward.random)());
        match wait {
            Some(wait) => {
                tokio::time::sleep(wait).await;
                true
            }
            None => false,
        }
    }
}

/// Where an attempt goes.
struct To<'a> {
    url: &'a UpstreamUrl,
    upstream: &'a Arc<Upstream>,
    target: &'a Uri,
    upload: Option<&'a Upload>,
}

/// One attempt at one endpoint. The body is taken when it is handed to a connection, and given back if
/// nothing of it has been read.
async fn attempt(
    parts: &Parts,
    body: &mut Option<RequestBody>,
    to: To<'_>,
    forward: &Forward<'_>,
) -> Result<Response<ProxiedBody>, Failed> {
    let timeout = forward.route.timeout();
    let deadline = tokio::time::Instant::now() + timeout;
    // A connection that was kept may have been closed meanwhile: hyper then gives the request back, and a
    // fresh connection gets it. That is no attempt of its own.
    loop {
        let kept = to.upstream.kept();
        let is_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => connect(to.url, deadline).await?,
        };
        let headers = headers::towards_upstream(parts, &forward.hop, forward.principal, to.upstream.host());
        let mut request = Request::new(body.take().unwrap_or(RequestBody::Empty));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = to.target.clone();
        *request.headers_mut() = headers;
        match connection.send(request, deadline).await {
            Err(Elapsed) => return Err(Failed::timeout()),
            Ok(Ok(response)) => return Ok(answered(parts, response, connection, &to, timeout)),
            Ok(Err(mut error)) => {
                let unsent = error.take_message();
                let was_unsent = unsent.is_some();
                *body = unsent.map(Request::into_body);
                if is_kept && was_unsent {
                    continue;
                }
                tracing::debug!(error = %error.into_error(), host = to.url.host(), "upstream failed");
                return Err(if was_unsent { Failed::connect() } else { Failed::broken() });
            }
        }
    }
}

fn answered(
    parts: &Parts,
    response: Response<Incoming>,
    mut connection: Box<Connection>,
    to: &To<'_>,
    pause: Duration,
) -> Response<ProxiedBody> {
    let (mut head, body) = response.into_parts();
    headers::towards_client(&mut head.headers);
    head.version = Version::HTTP_11;
    if to.upload.is_some_and(Upload::is_under_way) {
        connection.run_apart();
    }
    let mut body = ProxiedBody::new(body, connection, Arc::clone(to.upstream), pause);
    if parts.method == Method::HEAD {
        body.finish_if_ended();
    }
    Response::from_parts(head, body)
}

struct Failed {
    failure: Failure,
    error: Error,
}

impl Failed {
    fn connect() -> Failed {
        let error =
            Error::unavailable("gateway.bad_upstream", "the service behind this route cannot be reached");
        Failed { failure: Failure::Connect, error }
    }

    fn broken() -> Failed {
        let error = Error::unavailable("gateway.bad_upstream", "the service behind this route broke off");
        Failed { failure: Failure::Broken, error }
    }

    fn timeout() -> Failed {
        let error = Error::unavailable(
            "gateway.upstream_timeout",
            "the service behind this route did not answer in time",
        );
        Failed { failure: Failure::Timeout, error }
    }
}

async fn connect(url: &UpstreamUrl, deadline: tokio::time::Instant) -> Result<Box<Connection>, Failed> {
    let limit = deadline.min(tokio::time::Instant::now() + CONNECT_TIMEOUT);
    match tokio::time::timeout_at(limit, Connection::open(url)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => {
            tracing::debug!(%error, host = url.host(), "no connection to the upstream");
            Err(Failed::connect())
        }
        Err(_elapsed) => Err(Failed::connect()),
    }
}

/// Whether the request can still be sent as a whole: its body is empty, or nobody has read of it.
fn body_is_untouched(body: &mut Option<RequestBody>, upload: Option<&Upload>) -> bool {
    match body {
        Some(_) => !upload.is_some_and(Upload::is_touched),
        None if upload.is_none() => {
            *body = Some(RequestBody::Empty);
            true
        }
        None => false,
    }
}

/// The request line's target for an endpoint.
fn target(uri: &Uri, url: &UpstreamUrl) -> Result<Uri> {
    let path = canonical_path(uri.path())?;
    let target = match uri.path_and_query() {
        // The usual case: nothing to put together.
        Some(target) if url.base().is_empty() && path == uri.path() => Some(target.clone()),
        _ => {
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            PathAndQuery::try_from(format!("{}{path}{query}", url.base())).ok()
        }
    };
    target
        .map(Uri::from)
        .ok_or_else(|| Error::invalid("gateway.ambiguous_path", "the path cannot be forwarded"))
}
