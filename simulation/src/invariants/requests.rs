//! Every refused command without trace; every command once, however often it was sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform_core::kernel::{CorrelationId, Error};

use crate::stage::Stage;
use crate::truth::Truth;
use crate::workload::{MOOT, Op, is_unknown};

/// How a command ended, as its client saw it.
#[derive(Debug)]
pub enum End {
    /// It was answered.
    Acknowledged(String),
    /// It was refused for good.
    Refused(Error),
    /// Nobody knows.
    Unknown,
}

impl End {
    /// Of an answer.
    pub fn of(result: Result<String, Error>) -> End {
        match result {
            Ok(answer) => End::Acknowledged(answer),
            Err(error) if is_unknown(error.kind()) => End::Unknown,
            Err(error) => End::Refused(error),
        }
    }
}

/// A command that was sent.
pub struct Request {
    /// What.
    pub op: Arc<dyn Op>,
    /// Its id.
    pub id: CorrelationId,
    /// Its idempotency key.
    pub key: Option<String>,
    /// The answer of an earlier request with this key.
    pub expected: Option<String>,
    /// How it ended.
    pub end: End,
}

/// Requests that have to be looked at in peace.
#[derive(Default)]
pub(super) struct Requests {
    refused: Vec<(CorrelationId, Arc<dyn Op>)>,
    ids: Vec<CorrelationId>,
    keys: BTreeMap<String, Vec<CorrelationId>>,
}

/// A command that ends several sessions publishes one event for each.
const MANY: &str = "auth.session_revoked";

impl Requests {
    /// A command has come to an end.
    pub(super) fn ended(&mut self, stage: &Stage, request: Request) {
        let Request { op, id, key, expected, end } = request;
        match &end {
            End::Refused(error) if error.kind().is_fault() => {
                stage.violated(format!("fault: {op:?} was answered {error:?}"));
            }
            End::Refused(error) => {
                if expected.is_some() && error.code() != MOOT {
                    stage.violated(format!("idempotency: {op:?} succeeded once and is {error:?} now"));
                }
                check_refused(stage, &id, &*op);
                self.refused.push((id.clone(), op));
            }
            End::Acknowledged(answer) => {
                if let Some(expected) = expected.filter(|expected| expected != answer) {
                    stage.violated(format!("idempotency: {op:?} was answered {expected}, now {answer}"));
                }
            }
            End::Unknown => {}
        }
        let ids = match key {
            None => vec![id.clone()],
            Some(key) => {
                let ids = self.keys.entry(key).or_default();
                ids.push(id.clone());
                ids.clone()
            }
        };
        let doubled = more_than_once(&stage.truth.lock(), &ids);
        doubled.into_iter().for_each(|what| stage.violated(what));
        self.ids.push(id);
    }

    /// Looks at all requests since the last time, now that nothing is on its way.
    pub(super) fn look(&mut self, stage: &Stage) {
        for (id, op) in self.refused.drain(..) {
            check_refused(stage, &id, &*op);
        }
        let mut doubled = Vec::new();
        {
            let truth = stage.truth.lock();
            for id in self.ids.drain(..) {
                doubled.extend(more_than_once(&truth, &[id]));
            }
            for ids in self.keys.values() {
                doubled.extend(more_than_once(&truth, ids));
            }
        }
        doubled.into_iter().for_each(|what| stage.violated(what));
    }
}

fn check_refused(stage: &Stage, id: &CorrelationId, op: &dyn Op) {
    let left: Vec<String> = {
        let truth = stage.truth.lock();
        let types = truth.of_request(id).map(|published| published.event.event_type.clone());
        types.filter(|left| !op.may_leave().contains(&left.as_str())).collect()
    };
    if !left.is_empty() {
        stage.violated(format!("trace: {op:?} was refused and left {left:?}"));
    }
}

/// The types of events that requests, which are one, published more than once.
fn more_than_once(truth: &Truth, ids: &[CorrelationId]) -> Option<String> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for published in ids.iter().flat_map(|id| truth.of_request(id)) {
        *counts.entry(published.event.event_type.as_str()).or_default() += 1;
    }
    let (event_type, count) = counts.into_iter().find(|(name, count)| *count > 1 && *name != MANY)?;
    Some(format!("once: {event_type} was published {count} times for {ids:?}"))
}
