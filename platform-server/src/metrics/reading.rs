//! A histogram that the core has counted, as Prometheus writes it.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::kernel::Observations;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The last reading of a histogram.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading(Arc<Mutex<Observations>>);

impl Reading {
    pub(super) fn set(&self, seen: Observations) {
        *self.0.lock() = seen;
    }
}

impl TypedMetric for Reading {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Reading {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let seen = self.0.lock();
        encoder.encode_histogram::<NoLabelSet>(seen.sum_s, seen.count(), &seen.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Reading::TYPE
    }
}
