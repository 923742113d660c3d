//! What marks a request: its id and its trace, as they stand in headers.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use platform_core::kernel::{CorrelationId, RawId, Timestamp};

use crate::rest::{REQUEST_ID, RequestInfo, TRACEPARENT};

/// The values of `X-Request-Id` and `traceparent`, written once for the upstream and the client.
pub(crate) struct Marks {
    id: Option<HeaderValue>,
    trace: Option<HeaderValue>,
}

impl Marks {
    /// Those of a request; `given` is the client's own id, if it has become the request's.
    pub(crate) fn of(info: &RequestInfo, given: Option<&HeaderValue>) -> Marks {
        let id = given.cloned().or_else(|| HeaderValue::from_str(info.correlation_id.as_str()).ok());
        // Copies of it share one allocation from the beginning.
        let trace = HeaderValue::from_maybe_shared(Bytes::from_owner(info.trace.to_ascii())).ok();
        Marks { id, trace }
    }

    /// Name and value of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (HeaderName, &HeaderValue)> {
        let id = self.id.as_ref().map(|id| (REQUEST_ID, id));
        id.into_iter().chain(self.trace.as_ref().map(|trace| (TRACEPARENT, trace)))
    }

    /// Sets them, whatever an upstream has said.
    pub(crate) fn set(self, headers: &mut HeaderMap) {
        if let Some(id) = self.id {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(trace) = self.trace {
            headers.insert(TRACEPARENT, trace);
        }
    }
}

/// Ids of requests and traces: unique and hard to guess, not secret.
#[derive(Default)]
pub(crate) struct Ids {
    keys: RandomState,
    counter: AtomicU64,
}

impl Ids {
    /// Never zero.
    pub(crate) fn number(&self) -> u64 {
        self.keys.hash_one(self.counter.fetch_add(1, Relaxed)).max(1)
    }

    pub(crate) fn wide_number(&self) -> u128 {
        u128::from(self.number()) << 64 | u128::from(self.number())
    }

    pub(crate) fn correlation_id(&self) -> CorrelationId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(self.wide_number().to_be_bytes()) {
            *to = from;
        }
        CorrelationId::from_raw(RawId::v7(Timestamp::from_millis(now.as_millis() as u64), random))
    }
}
