//! The streaming reverse proxy: a request goes to an upstream as it comes, and its response back.
//!
//! Bodies are never collected. Each attempt takes a lease of an endpoint, a connection of the pool,
//! and reports how it went; what may be sent again is decided by platform-core's gateway.

mod body;
mod connection;
pub(crate) mod headers;
mod pool;

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Response, Uri};
use hyper::body::Body;
use platform_core::gateway::{CompiledRoute, Endpoint, Failure, Outcome, Pool, UpstreamUrl, canonical_path};
use platform_core::kernel::{Error, Principal, Result, Timestamp};

pub(crate) use body::ProxiedBody;
use body::{RequestBody, Upload};
use connection::{Connection, NoAnswer};
pub(crate) use headers::{Hop, client_address};
use pool::{Upstream, Upstreams};

use crate::http_server::{Allowance, ClientBody};
use crate::http1::{Answer, Target, write_request_line};

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
        parts: &Parts,
        body: ClientBody,
        forward: Forward<'_>,
    ) -> Result<Response<ProxiedBody>> {
        let limit = forward.route.body_limit_bytes();
        let allowance = Allowance::of(&parts.headers, limit)?;
        headers::refuse_loop(&parts.headers)?;
        let upload =
            (!body.is_end_stream()).then(|| Upload::new(allowance, Arc::clone(&forward.hop.peer.watch)));
        let mut body = upload.as_ref().map(|upload| upload.body(body));
        let upload = upload.as_ref();
        let mut tried: Vec<Arc<Endpoint>> = Vec::new();
        loop {
            let lease = forward.target.lease((forward.now)(), &tried, forward.route.waiting_limit())?;
            let endpoint = Arc::clone(lease.endpoint());
            let attempts = tried.len() as u32 + 1;
            // When these fail, the lease is dropped and counts for nothing.
            let target = target(&parts.uri, endpoint.url())?;
            let upstream = self.upstreams.at(endpoint.url())?;
            let to = To { url: endpoint.url(), upstream: &upstream, target: &target };
            let failed = match attempt(parts, &mut body, to, &forward).await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    let untouched = is_untouched(body.as_ref(), upload);
                    let again = Outcome::of_status(status) == Outcome::Failed
                        && Box::pin(self.again(
                            parts,
                            Failure::Status(status),
                            attempts,
                            untouched,
                            &forward,
                        ))
                        .await;
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
            let untouched = is_untouched(body.as_ref(), upload);
            if !Box::pin(self.again(parts, failed.failure, attempts, untouched, &forward)).await {
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
    target: &'a Target<'a>,
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
    // A connection that was kept may have been closed meanwhile: when nothing was sent, a fresh connection gets
    // the request. That is no attempt of its own.
    loop {
        let kept = to.upstream.kept();
        let is_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Box::pin(connect(to.url, deadline)).await?,
        };
        let head = |out: &mut Vec<u8>| {
            write_request_line(out, &parts.method, to.target);
            headers::towards_upstream(out, parts, &forward.hop, forward.principal, to.upstream.host());
        };
        match connection.send(&parts.method, body.take(), head, deadline).await {
            Ok(answer) => return answered(answer, connection, &to, timeout),
            Err(NoAnswer::Late) => return Err(Failed::timeout()),
            Err(NoAnswer::Unsent) => {
                *body = connection.take_body();
                if !is_kept {
                    return Err(Failed::connect());
                }
            }
            Err(NoAnswer::Broken(error)) => {
                tracing::debug!(%error, host = to.url.host(), "upstream failed");
                return Err(Failed::broken());
            }
        }
    }
}

fn answered(
    mut answer: Answer,
    mut connection: Box<Connection>,
    to: &To<'_>,
    pause: Duration,
) -> Result<Response<ProxiedBody>, Failed> {
    headers::towards_client(&mut answer.parts.headers);
    if !connection.is_sent() {
        answer.is_kept = false;
        connection.send_apart(pause);
    }
    let body = ProxiedBody::new((answer.framing, answer.is_kept), connection, to.upstream, pause);
    body.map(|body| Response::from_parts(answer.parts, body)).map_err(|error| {
        tracing::debug!(%error, host = to.url.host(), "upstream failed");
        Failed::broken()
    })
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

/// Whether the request can still be sent as a whole: it has no body, or nobody has read of it.
fn is_untouched(body: Option<&RequestBody>, upload: Option<&Upload>) -> bool {
    upload.is_none_or(|upload| body.is_some() && !upload.is_touched())
}

/// What the request line asks an endpoint for.
fn target<'a>(uri: &'a Uri, url: &'a UpstreamUrl) -> Result<Target<'a>> {
    let target = Target { base: url.base(), path: canonical_path(uri.path())?, query: uri.query() };
    if target.is_one_word() {
        Ok(target)
    } else {
        Err(Error::invalid("gateway.ambiguous_path", "the path cannot be forwarded"))
    }
}
