//! What is counted, in the names of OpenTelemetry's semantic conventions as Prometheus writes them.

mod meter;
mod observed;
mod process;
mod reading;
mod scrape;

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, Version};
use platform_core::Platform;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::rest::Answered;

use meter::Last;
use observed::Observed;
use scrape::Scrapes;

/// The buckets that the conventions prescribe for HTTP.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The status of a request that its client took back, as nginx writes it.
const GIVEN_UP: u16 = 499;

/// The template of a path, or a route of the gateway.
#[derive(Debug, Clone)]
pub(crate) enum Label {
    /// One of our own.
    Static(&'static str),
    /// A route's.
    Shared(Arc<str>),
}

impl Label {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Label::Static(text) => text,
            Label::Shared(text) => text,
        }
    }
}

impl Default for Label {
    fn default() -> Label {
        Label::Static("unmatched")
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Label) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.as_str().encode(encoder)
    }
}

/// Labels of `http_server_request_duration_seconds`. Each has few values: a route is a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    http_request_method: &'static str,
    http_route: Label,
    http_response_status_code: u16,
    url_scheme: &'static str,
    network_protocol_version: &'static str,
    error_type: &'static str,
}

impl RequestLabels {
    /// What is known before the answer; without one, the client has taken its request back.
    pub(crate) fn new(method: &Method, version: Version, is_tls: bool) -> RequestLabels {
        RequestLabels {
            http_request_method: method_name(method),
            http_route: Label::default(),
            http_response_status_code: GIVEN_UP,
            url_scheme: scheme(is_tls),
            network_protocol_version: match version {
                Version::HTTP_2 => "2",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            error_type: "",
        }
    }

    /// What its answer says.
    pub(crate) fn answered(&mut self, status: StatusCode, answered: Answered) {
        self.http_response_status_code = status.as_u16();
        self.http_route = answered.route;
        self.error_type = answered.code.unwrap_or("");
    }

    pub(crate) fn method(&self) -> &'static str {
        self.http_request_method
    }

    pub(crate) fn route(&self) -> &str {
        self.http_route.as_str()
    }

    pub(crate) fn status(&self) -> u16 {
        self.http_response_status_code
    }

    pub(crate) fn code(&self) -> Option<&'static str> {
        Some(self.error_type).filter(|code| !code.is_empty())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActiveLabels {
    http_request_method: &'static str,
    url_scheme: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// A method as a label: what is not one of HTTP's own is `_OTHER`, so that callers cannot make series.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

fn scheme(is_tls: bool) -> &'static str {
    if is_tls { "https" } else { "http" }
}

/// The series that one connection counts with.
#[derive(Default)]
pub(crate) struct Meter {
    active: Last<ActiveLabels, Gauge>,
    durations: Last<RequestLabels, Histogram>,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    durations: Family<RequestLabels, Histogram, fn() -> Histogram>,
    active: Family<ActiveLabels, Gauge>,
    sign_ins: Family<OutcomeLabel, Counter>,
    observed: Observed,
    pub(crate) connections_refused: Counter,
    scrapes: Scrapes,
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Metrics {
        let mut registry = Registry::default();
        let durations = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        registry.register_with_unit(
            "http_server_request_duration",
            "Time from the head of a request to the end of its response",
            Unit::Seconds,
            durations.clone(),
        );
        let active = Family::default();
        registry.register("http_server_active_requests", "Requests under way", active.clone());
        let connections_refused = Counter::default();
        registry.register(
            "platform_gateway_connections_refused",
            "Connections closed at once because of a cap",
            connections_refused.clone(),
        );
        let sign_ins = Family::default();
        registry.register(
            "platform_auth_attempts",
            "Attempts to sign in, by how they ended",
            sign_ins.clone(),
        );
        let observed = Observed::register(&mut registry);
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("platform_build", "The build", build);
        Metrics {
            registry,
            durations,
            active,
            sign_ins,
            observed,
            connections_refused,
            scrapes: Scrapes::default(),
        }
    }

    /// A request has begun.
    pub(crate) fn request_begins(&self, meter: &Meter, labels: &RequestLabels) {
        self.active(meter, labels, 1);
    }

    /// A request is over.
    pub(crate) fn request_ends(&self, meter: &Meter, labels: &RequestLabels, took: Duration) {
        self.active(meter, labels, -1);
        let find = || self.durations.get_or_create(labels).clone();
        meter.durations.with(labels, find, |histogram| histogram.observe(took.as_secs_f64()));
        if labels.route() == "/v1/auth/login" {
            let outcome = labels.code().unwrap_or("success");
            self.sign_ins.get_or_create(&OutcomeLabel { outcome }).inc();
        }
    }

    fn active(&self, meter: &Meter, of: &RequestLabels, by: i64) {
        let labels = ActiveLabels { http_request_method: of.http_request_method, url_scheme: of.url_scheme };
        let find = || self.active.get_or_create(&labels).clone();
        meter.active.with(&labels, find, |gauge| {
            gauge.inc_by(by);
        });
    }

    /// The text of `/metrics`, with what is only now looked up.
    pub(crate) async fn scraped(&self, platform: &Platform) -> Bytes {
        let look = async || {
            self.observed.look(platform).await;
            self.render()
        };
        self.scrapes.text(look).await
    }

    fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_under_the_conventional_names() {
        let metrics = Metrics::new();
        let method = Method::from_bytes(b"BREW").unwrap();
        let (meter, mut labels) = (Meter::default(), RequestLabels::new(&method, Version::HTTP_11, false));
        metrics.request_begins(&meter, &labels);
        labels.answered(StatusCode::NOT_FOUND, Answered::default());
        metrics.request_ends(&meter, &labels, Duration::from_millis(7));
        let text = metrics.render();
        assert!(text.contains(
            "http_server_request_duration_seconds_bucket{le=\"0.01\",http_request_method=\"_OTHER\",http_route=\"unmatched\",\
             http_response_status_code=\"404\",url_scheme=\"http\",network_protocol_version=\"1.1\",error_type=\"\"} 1"
        ), "{text}");
        assert!(
            text.contains(
                "http_server_active_requests{http_request_method=\"_OTHER\",url_scheme=\"http\"} 0"
            )
        );
        assert!(text.contains("platform_build_info{version="));
    }
}
