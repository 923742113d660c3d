//! From a request on a connection to its response: identity of the request, route, log, metrics.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Body;
use platform_core::gateway::{CompiledRoute, Destination, Headers, RequestHead, Resolution};
use platform_core::kernel::{ClientInfo, Context, Error, Retry, TraceParent, limits};

use crate::http_server::{Above, ClientBody, OnEnd, Permit, RequestPermit, ServerBody, Watch};
use crate::marks::{Ids, Marks};
use crate::metrics::{Label, Meter, Metrics, RequestLabels};
use crate::policy::write_limit;
use crate::proxy::{Forward, Hop, client_address};
use crate::rest::{self, Answered, Endpoint, REQUEST_ID, RequestInfo, Routes, TRACEPARENT};
use crate::server::Server;

/// The other end of a connection.
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// The connection's deadlines.
    pub watch: Arc<Watch>,
    forwarded_for: HeaderValue,
    meter: Meter,
}

impl Peer {
    /// The other end of a connection that was accepted from `address`.
    pub fn new(address: SocketAddr, is_tls: bool, watch: Arc<Watch>) -> Peer {
        let text = address.ip().to_canonical().to_string();
        let forwarded_for = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"));
        Peer { address, is_tls, watch, forwarded_for, meter: Meter::default() }
    }

    /// Its address, as `X-Forwarded-For` says it.
    pub(crate) fn forwarded_for(&self) -> &HeaderValue {
        &self.forwarded_for
    }
}

/// The whole of what answers requests.
pub struct App {
    server: Arc<Server>,
    routes: Routes,
    ids: Ids,
}

impl App {
    /// Over a server and its table of endpoints.
    pub fn new(server: Arc<Server>, endpoints: &[Endpoint]) -> App {
        App { routes: Routes::new(&server, endpoints), server, ids: Ids::default() }
    }

    /// The metrics.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.server.metrics
    }

    /// Whether what this peer says of its clients is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.server.trusts(peer)
    }

    /// Answers one request. Whatever of this is large and seldom needed is boxed: a request's task is moved before it
    /// begins, as large as it may ever become.
    pub async fn answer(
        self: Arc<App>,
        request: Request<ClientBody>,
        peer: Arc<Peer>,
    ) -> Response<ServerBody> {
        let is_h2 = request.version() == Version::HTTP_2;
        let number = peer.watch.request_begins(is_h2);
        let (info, marks) = self.info(request.headers(), &peer);
        // From here on its end is noted, also when the peer takes the request back while it is worked on.
        let mut ending = Box::new(Ending {
            labels: RequestLabels::new(request.method(), request.version(), peer.is_tls),
            info,
            server: Arc::clone(&self.server),
            peer,
            begin: Instant::now(),
            permit: None,
            complete: false,
        });
        let peer = &*ending.peer;
        self.metrics().request_begins(&peer.meter, &ending.labels);
        let (mut response, answered) = match peer.watch.permit().map(Permit::request).transpose() {
            Ok(permit) => {
                ending.permit = permit;
                // The table must not be held while the request waits.
                let resolution = self.server.platform.gateway().table().resolve(&head(&request));
                match resolution {
                    Resolution::Route(route) => {
                        let (parts, body) = request.into_parts();
                        self.forward(&parts, body, &route, &ending.info, &marks, &ending.peer).await
                    }
                    Resolution::Own => Box::pin(self.own(request, &ending.info)).await,
                    Resolution::Preflight(headers) => preflight(headers),
                    Resolution::MethodNotAllowed(allow) => not_allowed(allow, &ending.info),
                    Resolution::Refused(error) => problem(error, &ending.info, Label::default()),
                }
            }
            Err(above) => refused(above, &ending.info, is_h2),
        };
        marks.set(response.headers_mut());
        ending.labels.answered(response.status(), answered);
        let watch = Arc::clone(&ending.peer.watch);
        response.map(|body| body.watched(&watch, number).on_end(ending))
    }

    /// Answers what is no request.
    pub(crate) fn refuse(&self, error: Error, peer: &Peer) -> Response<ServerBody> {
        let (info, marks) = self.info(&HeaderMap::new(), peer);
        tracing::debug!(request_id = %info.correlation_id, code = error.code(), "a head was refused");
        let (mut response, _) = problem(error, &info, Label::default());
        marks.set(response.headers_mut());
        response
    }

    /// By one of our own endpoints.
    async fn own(
        &self,
        request: Request<ClientBody>,
        info: &RequestInfo,
    ) -> (Response<ServerBody>, Answered) {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(info.clone());
        let mut response = self.routes.answer(request).await.map(ServerBody::boxed);
        let answered = response.extensions_mut().remove::<Answered>().unwrap_or_default();
        (response, answered)
    }

    /// Through the policy of a route to its upstream.
    async fn forward(
        &self,
        parts: &Parts,
        body: ClientBody,
        route: &CompiledRoute,
        info: &RequestInfo,
        marks: &Marks,
        peer: &Peer,
    ) -> (Response<ServerBody>, Answered) {
        let server = &self.server;
        let label = Label::Shared(Arc::clone(route.label()));
        let origin = parts.headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
        let cors = route.cors_headers(origin);
        let may_leave_body = !body.is_end_stream() && parts.version < Version::HTTP_2;
        let decision = server.decide(Destination::Route(route), &parts.headers, info).await;
        let result = match decision.verdict {
            Ok(()) => {
                let gateway = server.platform.gateway();
                let forward = Forward {
                    route,
                    target: gateway.pool(route, &decision.principal, info.client.address),
                    principal: Some(&decision.principal),
                    hop: self.hop(parts, marks, peer),
                    now: &|| server.now(),
                    random: &|| self.ids.number(),
                };
                server.proxy.forward(parts, body, forward).await
            }
            Err(error) => Err(error),
        };
        let (mut response, answered) = match result {
            Ok(response) => (response.map(ServerBody::proxied), Answered { route: label, code: None }),
            Err(error) => {
                let mut context = Context::new(decision.principal, info.correlation_id.clone());
                context.client = info.client.clone();
                server.record_denied(&context, "gateway.forward", route.name().as_str(), &error);
                let (mut response, answered) = problem(error, info, label);
                if may_leave_body {
                    // What is left of the body would be taken for the next request.
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                (response, answered)
            }
        };
        write(response.headers_mut(), cors);
        if let Some(limit) = &decision.limit {
            write_limit(response.headers_mut(), limit);
        }
        (response, answered)
    }

    fn hop<'a>(&self, parts: &Parts, marks: &'a Marks, peer: &'a Peer) -> Hop<'a> {
        // The client's own value of `Host` is used as it is.
        let authority = match parts.uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => parts.headers.get(header::HOST).cloned(),
        };
        Hop { marks, peer, is_trusted: self.server.trusts(peer.address.ip()), authority }
    }

    fn info(&self, headers: &HeaderMap, peer: &Peer) -> (RequestInfo, Marks) {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        // What is not a request id or a trace is not an error: it is replaced (W3C Trace Context, 3.3).
        let given = headers.get(REQUEST_ID);
        let given_id = given.and_then(|value| value.to_str().ok()?.parse().ok());
        let given = given.filter(|_| given_id.is_some());
        let trace = text(TRACEPARENT).and_then(|text| text.parse::<TraceParent>().ok());
        let span_id = self.ids.number();
        let info = RequestInfo {
            correlation_id: given_id.unwrap_or_else(|| self.ids.correlation_id()),
            trace: match trace {
                Some(trace) => TraceParent { span_id, ..trace },
                None => TraceParent { trace_id: self.ids.wide_number(), span_id, flags: 0 },
            },
            client: ClientInfo {
                address: Some(client_address(headers, peer.address.ip(), |address| {
                    self.server.trusts(address)
                })),
                user_agent: text(header::USER_AGENT).map(|agent| cut(agent, limits::NAME_BYTES).to_owned()),
            },
        };
        let marks = Marks::of(&info, given);
        (info, marks)
    }
}

/// The answer to a preflight.
fn preflight(headers: Headers) -> (Response<ServerBody>, Answered) {
    let mut response = Response::new(ServerBody::full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    write(response.headers_mut(), headers);
    (response, Answered::default())
}

/// The answer where the path has routes, but none for the method.
fn not_allowed(allow: String, info: &RequestInfo) -> (Response<ServerBody>, Answered) {
    let error = Error::invalid("request.method_not_allowed", "the path does not take this method");
    let (mut response, answered) = problem(error, info, Label::default());
    write(response.headers_mut(), vec![("allow", allow)]);
    (response, answered)
}

/// An error outside every endpoint.
fn problem(error: Error, info: &RequestInfo, route: Label) -> (Response<ServerBody>, Answered) {
    let mut response = rest::render_problem(error, info, route).map(ServerBody::full);
    let answered = response.extensions_mut().remove::<Answered>().unwrap_or_default();
    (response, answered)
}

/// What a request says about where it goes.
fn head(request: &Request<ClientBody>) -> RequestHead<'_> {
    // Only preflights say more.
    let is_preflight = request.method() == Method::OPTIONS;
    let text = |name: HeaderName| {
        if is_preflight { request.headers().get(name).and_then(|value| value.to_str().ok()) } else { None }
    };
    RequestHead {
        method: request.method().as_str(),
        authority: authority(request),
        path: request.uri().path(),
        origin: text(header::ORIGIN),
        requested_method: text(header::ACCESS_CONTROL_REQUEST_METHOD),
        requested_headers: text(header::ACCESS_CONTROL_REQUEST_HEADERS),
    }
}

/// The target's authority, else `Host` (RFC 9112, 3.2.2).
fn authority(request: &Request<ClientBody>) -> Option<&str> {
    let host = || request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    request.uri().authority().map(|authority| authority.as_str()).or_else(host)
}

/// `Vary` adds up; the others replace what an upstream has said.
fn write(headers: &mut HeaderMap, more: Headers) {
    for (name, text) in more {
        let Ok(value) = HeaderValue::try_from(text) else { continue };
        if name == "vary" {
            headers.append(name, value);
        } else {
            headers.insert(name, value);
        }
    }
}

/// The longest beginning of an ASCII text.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..bytes).unwrap_or(text)
}

/// What is to be noted when a response is over.
struct Ending {
    server: Arc<Server>,
    labels: RequestLabels,
    peer: Arc<Peer>,
    permit: Option<RequestPermit>,
    begin: Instant,
    info: RequestInfo,
    complete: bool,
}

/// The answer to a request above a cap.
fn refused(above: Above, info: &RequestInfo, is_h2: bool) -> (Response<ServerBody>, Answered) {
    let error = match above {
        Above::Address => {
            Error::limit("server.too_many_requests", "too many requests at once of one address")
        }
        Above::All => Error::unavailable("server.overloaded", "too many requests at once"),
    };
    let error = error.retry(Retry::After(Duration::from_secs(1)));
    let (mut response, answered) = problem(error, info, Label::default());
    if !is_h2 {
        // Its body was not read.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    (response, answered)
}

impl OnEnd for Ending {
    fn end(mut self: Box<Self>, complete: bool) {
        self.complete = complete;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let end = Instant::now();
        self.peer.watch.request_ends(end, self.complete);
        let took = end.duration_since(self.begin);
        self.server.metrics.request_ends(&self.peer.meter, &self.labels, took);
        // No path, no query, no header: they may hold what is secret or personal.
        tracing::info!(
            target: "access",
            request_id = %self.info.correlation_id,
            trace_id = format_args!("{:032x}", self.info.trace.trace_id),
            span_id = format_args!("{:016x}", self.info.trace.span_id),
            trace_flags = format_args!("{:02x}", self.info.trace.flags),
            method = self.labels.method(),
            route = self.labels.route(),
            status = self.labels.status(),
            code = self.labels.code(),
            took_us = took.as_micros() as u64,
            complete = self.complete,
            "request",
        );
    }
}
