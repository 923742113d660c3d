//! From a request to the answer of an endpoint: route, policy, body, handler, rendering.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{RawPathParams, Request};
use axum::routing::MethodFilter;
use axum::routing::MethodRouter;
use bytes::Bytes;
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::body::Body as _;
use platform_core::gateway::Destination;
use platform_core::kernel::{Context, CorrelationId, Error, RawId, Result};
use tokio::runtime::{Handle, RuntimeFlavor};
use tower::ServiceExt;

use super::extract::Received;
use super::headers::{self, RequestInfo};
use super::{Call, Endpoint, problem};
use crate::http_server::read_body;
use crate::metrics::Label;
use crate::policy::write_limit;
use crate::server::Server;

/// The longest that a handler may take: every command of ours is far below, a client gives up about then.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a call waits until what it is to see is visible: handlers need milliseconds, unless one stands
/// still.
const CONSISTENCY_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a body from which on its reading must not hold up others: about a quarter of a millisecond.
const LARGE_BODY: usize = 64 * 1024;

/// What the access log and the metrics want to know of an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answered {
    /// The template of the path.
    pub(crate) route: Label,
    /// The code of the error, if it was one.
    pub(crate) code: Option<&'static str>,
}

/// The router over a table of endpoints.
pub struct Routes {
    router: Router,
}

impl Routes {
    /// Builds it.
    pub fn new(server: &Arc<Server>, endpoints: &[Endpoint]) -> Routes {
        let mut paths: BTreeMap<&'static str, MethodRouter> = BTreeMap::new();
        for endpoint in endpoints {
            let endpoint = Arc::new(endpoint.clone());
            let (path, filter) = (endpoint.path, filter(&endpoint.method));
            let server = Arc::clone(server);
            let handler = move |request: Request| serve(Arc::clone(&endpoint), Arc::clone(&server), request);
            let methods = paths.remove(path).unwrap_or_default().on(filter, handler);
            paths.insert(path, methods);
        }
        let router =
            paths.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
        let router = router.fallback(no_such_path).method_not_allowed_fallback(method_not_allowed);
        Routes { router }
    }

    /// Answers a request; its extensions hold the [`RequestInfo`].
    pub async fn answer(&self, request: Request) -> Response<AxumBody> {
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn filter(method: &Method) -> MethodFilter {
    // Only the five methods of `Endpoint`'s constructors occur; GET also answers HEAD.
    MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET)
}

async fn no_such_path(request: Request) -> Response<AxumBody> {
    refusal(&request, &Error::not_found("request.no_such_path", "there is nothing at this path"))
}

async fn method_not_allowed(request: Request) -> Response<AxumBody> {
    refusal(&request, &Error::invalid("request.method_not_allowed", "the path does not take this method"))
}

fn refusal(request: &Request, error: &Error) -> Response<AxumBody> {
    finish(Err(error.clone()), &info(request), "unmatched")
}

fn info(request: &Request) -> RequestInfo {
    request.extensions().get::<RequestInfo>().cloned().unwrap_or_else(|| RequestInfo {
        correlation_id: CorrelationId::from_raw(RawId([0; 16])),
        trace: platform_core::kernel::TraceParent { trace_id: 1, span_id: 1, flags: 0 },
        client: platform_core::kernel::ClientInfo::default(),
    })
}

async fn serve(endpoint: Arc<Endpoint>, server: Arc<Server>, request: Request) -> Response<AxumBody> {
    let info = info(&request);
    let (mut parts, body) = request.into_parts();
    let conditions = endpoint.is_conditional.then(|| parts.headers.clone());
    let mut context = Context::anonymous(info.correlation_id.clone());
    context.client = info.client.clone();
    context.trace = Some(info.trace);
    let path = path_values(&mut parts).await;
    let subject = path.as_ref().ok().and_then(|values| values.iter().find(|value| is_id(value)).cloned());
    let destination = Destination::Own { path: endpoint.path, access: &endpoint.access };
    let decision = server.decide(destination, &parts.headers, &info).await;
    context.principal = decision.principal;
    let mut is_unread = !body.is_end_stream() && parts.version < Version::HTTP_2;
    let mut result = match decision.verdict {
        Ok(()) => attempt(&endpoint, &server, parts, path, body, &mut context, &mut is_unread).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        let action = format!("{} {}", endpoint.method, endpoint.path);
        server.record_denied(&context, &action, subject.as_deref().unwrap_or(endpoint.path), error);
    }
    if let (Ok(response), Some(conditions)) = (&mut result, conditions)
        && response.status() == StatusCode::OK
        && let Some(tag) = response.headers().get(header::ETAG)
        && headers::none_match(&conditions, tag.as_bytes())
    {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Bytes::new();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    let mut response = finish(result, &info, endpoint.path);
    let committed = context.positions();
    if !committed.is_empty()
        && let Ok(token) = HeaderValue::try_from(committed.to_string())
    {
        response.headers_mut().insert(headers::CONSISTENCY_TOKEN, token);
    }
    if let Some(limit) = &decision.limit {
        write_limit(response.headers_mut(), limit);
    }
    if is_unread {
        // What is left of the body would be taken for the next request: the client is told to begin anew.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn attempt(
    endpoint: &Endpoint,
    server: &Arc<Server>,
    parts: Parts,
    path: Result<Vec<String>>,
    body: AxumBody,
    context: &mut Context,
    is_unread: &mut bool,
) -> Result<Response<Bytes>> {
    headers::fill(context, endpoint, &parts.headers)?;
    headers::require_identity(&parts.headers)?;
    let awaited = headers::awaited(&parts.headers)?;
    let path = path?;
    // Held until the handler is done: what it makes of the body is about as large.
    let (body, _share) = read_body(&parts.headers, body, endpoint.body_limit(), &server.bodies).await?;
    *is_unread = false;
    if !awaited.is_empty() {
        server.platform.wait_for(&awaited, CONSISTENCY_TIMEOUT).await?;
    }
    let received = Received { path, uri: parts.uri, headers: parts.headers, body };
    let call = Call { context: context.clone(), server: Arc::clone(server) };
    let running = if received.body.len() > LARGE_BODY {
        beside_others(|| endpoint.run(call, received))
    } else {
        endpoint.run(call, received)
    };
    let running = AssertUnwindSafe(running).catch_unwind();
    match tokio::time::timeout(HANDLER_TIMEOUT, running).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Error::internal("request.panicked", "the handler panicked")),
        Err(_elapsed) => {
            Err(Error::unavailable("request.deadline_exceeded", "it took too long; it may have happened"))
        }
    }
}

/// Does what takes a thread for milliseconds, while the other tasks of the thread go on with another one.
fn beside_others<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Whether a value is an id of ours: it says nothing about a person to who does not know them.
fn is_id(value: &str) -> bool {
    value.rsplit_once('_').is_some_and(|(_, digits)| RawId::from_base32(digits).is_some())
}

async fn path_values(parts: &mut Parts) -> Result<Vec<String>> {
    use axum::extract::FromRequestParts;
    match RawPathParams::from_request_parts(parts, &()).await {
        Ok(values) => Ok(values.iter().map(|(_, value)| value.to_owned()).collect()),
        Err(_) => Err(Error::invalid("request.invalid_path", "the path is not UTF-8")),
    }
}

fn finish(result: Result<Response<Bytes>>, info: &RequestInfo, route: &'static str) -> Response<AxumBody> {
    decorate(result, info, Label::Static(route)).map(AxumBody::from)
}

/// The response for an error outside every endpoint.
pub(crate) fn render_problem(error: Error, info: &RequestInfo, route: Label) -> Response<Bytes> {
    decorate(Err(error), info, route)
}

fn decorate(result: Result<Response<Bytes>>, info: &RequestInfo, route: Label) -> Response<Bytes> {
    let (mut response, code) = match result {
        Ok(response) => (response, None),
        Err(error) => {
            if error.kind().is_fault() {
                tracing::error!(request_id = %info.correlation_id, trace_id = format_args!("{:032x}", info.trace.trace_id), code = error.code(), error = ?error, "fault");
            }
            (problem::render(&error, &info.correlation_id), Some(error.code()))
        }
    };
    response.extensions_mut().insert(Answered { route, code });
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
