//! A target in use: its endpoints in turn, its circuit, its retry budget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::retry::{Failure, RetryBudget, backoff, may_retry};
use super::{Circuit, CircuitState, Health, UpstreamUrl};
use crate::gateway::error;
use crate::gateway::model::Target;
use crate::kernel::{Result, Timestamp};

/// One endpoint, shared by every pool that names it.
#[derive(Debug)]
pub struct Endpoint {
    url: UpstreamUrl,
    health: Mutex<Health>,
}

impl Endpoint {
    /// Its address.
    pub fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// Whether it may be asked.
    pub fn is_in(&self, now: Timestamp) -> bool {
        self.health.lock().is_in(now)
    }
}

/// A target in use.
#[derive(Debug)]
pub struct Pool {
    endpoints: Vec<Arc<Endpoint>>,
    turn: AtomicUsize,
    /// Requests that wait for an answer.
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    circuit: Circuit,
    budget: RetryBudget,
}

/// How an attempt went, as far as the endpoint's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, with any status but 502, 503 and 504.
    Answered,
    /// It failed.
    Failed,
}

impl Outcome {
    /// The outcome of an answer with this status.
    pub fn of_status(status: u16) -> Outcome {
        if matches!(status, 502..=504) { Outcome::Failed } else { Outcome::Answered }
    }
}

impl Pool {
    /// The endpoints, in the order of the target.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The state of the circuit.
    pub fn circuit(&self) -> CircuitState {
        self.state.lock().circuit.state()
    }

    /// Takes a turn: the next endpoint that is in and not in `tried`; one that is out if no other is
    /// left, since asking is then better than certain failure. The lease is to be finished with the outcome;
    /// dropped unfinished, it counts for nothing.
    ///
    /// At most `waiting` leases are out at once: what hangs must not gather the requests of everybody.
    ///
    /// # Errors
    /// `gateway.circuit_open`, `gateway.upstream_busy`.
    pub fn lease(self: &Arc<Self>, now: Timestamp, tried: &[Arc<Endpoint>], waiting: usize) -> Result<Lease> {
        let place = Place::take(self, waiting)?;
        {
            let mut state = self.state.lock();
            state.circuit.acquire(now).map_err(error::circuit_open)?;
            if tried.is_empty() {
                state.budget.request();
            }
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = || {
            self.endpoints.iter().cycle().skip(turn % self.endpoints.len().max(1)).take(self.endpoints.len())
        };
        let untried = |endpoint: &&Arc<Endpoint>| !tried.iter().any(|other| Arc::ptr_eq(other, endpoint));
        let chosen = in_turn()
            .filter(untried)
            .find(|endpoint| endpoint.is_in(now))
            .or_else(|| in_turn().find(untried))
            .or_else(|| in_turn().next());
        match chosen {
            Some(endpoint) => Ok(Lease { place, endpoint: Arc::clone(endpoint), open: true }),
            None => {
                self.state.lock().circuit.forget();
                Err(error::circuit_open(Duration::from_secs(1)))
            }
        }
    }

    /// Whether and after which wait a request is sent again: as [`may_retry`], and while the budget lasts.
    pub fn retry(
        &self,
        method: &str,
        failure: Failure,
        attempts: u32,
        body_untouched: bool,
        now: Timestamp,
        random: u64,
    ) -> Option<Duration> {
        let again =
            may_retry(method, failure, attempts, body_untouched) && self.state.lock().budget.retry(now);
        again.then(|| backoff(attempts, random))
    }
}

/// One of those who wait; dropping it makes room.
#[derive(Debug)]
struct Place(Arc<Pool>);

impl Place {
    fn take(pool: &Arc<Pool>, most: usize) -> Result<Place> {
        let place = Place(Arc::clone(pool));
        // Counted first: whoever comes at the same time sees it.
        if pool.waiting.fetch_add(1, Ordering::Relaxed) < most {
            Ok(place)
        } else {
            Err(error::upstream_busy())
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An endpoint's turn.
#[derive(Debug)]
pub struct Lease {
    place: Place,
    endpoint: Arc<Endpoint>,
    open: bool,
}

impl Lease {
    /// The endpoint to ask.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Reports how it went.
    pub fn finish(mut self, outcome: Outcome, now: Timestamp) {
        self.open = false;
        let success = outcome == Outcome::Answered;
        {
            let mut health = self.endpoint.health.lock();
            if success { health.success() } else { health.failure(now) }
        }
        self.place.0.state.lock().circuit.record(success, now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.open {
            self.place.0.state.lock().circuit.forget();
        }
    }
}

/// The pools and endpoints of a table; those that a new table names again keep their state.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Upstreams {
    endpoints: BTreeMap<String, Arc<Endpoint>>,
    pools: BTreeMap<Vec<String>, Arc<Pool>>,
}

impl Upstreams {
    /// The pool of a target, with the state that `before` has for it.
    pub(in crate::gateway) fn pool(
        &mut self,
        target: &Target,
        before: &Upstreams,
    ) -> Result<Arc<Pool>, &'static str> {
        let key = &target.upstreams;
        if let Some(pool) = self.pools.get(key) {
            return Ok(Arc::clone(pool));
        }
        let mut endpoints = Vec::with_capacity(key.len());
        for url in key {
            let known = self.endpoints.get(url).or_else(|| before.endpoints.get(url)).cloned();
            let endpoint = match known {
                Some(endpoint) => endpoint,
                None => Arc::new(Endpoint { url: UpstreamUrl::parse(url)?, health: Mutex::default() }),
            };
            self.endpoints.insert(url.clone(), Arc::clone(&endpoint));
            endpoints.push(endpoint);
        }
        let pool = match before.pools.get(key) {
            Some(pool) => Arc::clone(pool),
            None => Arc::new(Pool {
                endpoints,
                turn: AtomicUsize::new(0),
                waiting: AtomicUsize::new(0),
                state: Mutex::default(),
            }),
        };
        self.pools.insert(key.clone(), Arc::clone(&pool));
        Ok(pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(urls: &[&str]) -> Arc<Pool> {
        let target = Target { upstreams: urls.iter().map(|url| (*url).to_owned()).collect() };
        Upstreams::default().pool(&target, &Upstreams::default()).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_secs(1_000)
    }

    #[test]
    fn endpoints_take_turns() {
        let pool = pool(&["http://a", "http://b", "http://c"]);
        let hosts: Vec<_> =
            (0..6).map(|_| pool.lease(now(), &[], 100).unwrap().endpoint().url().host().to_owned()).collect();
        assert_eq!(hosts, ["a", "b", "c", "a", "b", "c"]);
    }

    #[test]
    fn an_endpoint_that_fails_is_passed_over_until_its_time_is_up() {
        let pool = pool(&["http://a", "http://b"]);
        for _ in 0..10 {
            let lease = pool.lease(now(), &[], 100).unwrap();
            let outcome =
                if lease.endpoint().url().host() == "a" { Outcome::Failed } else { Outcome::Answered };
            lease.finish(outcome, now());
        }
        for _ in 0..4 {
            assert_eq!(pool.lease(now(), &[], 100).unwrap().endpoint().url().host(), "b");
        }
        let later = Timestamp::from_secs(1_005);
        assert!((0..2).any(|_| pool.lease(later, &[], 100).unwrap().endpoint().url().host() == "a"));
    }

    #[test]
    fn a_retry_goes_to_another_endpoint_even_if_that_one_is_out() {
        let pool = pool(&["http://a", "http://b"]);
        for endpoint in pool.endpoints() {
            for _ in 0..5 {
                endpoint.health.lock().failure(now());
            }
        }
        let first = Arc::clone(pool.lease(now(), &[], 100).unwrap().endpoint());
        let second = pool.lease(now(), std::slice::from_ref(&first), 100).unwrap();
        assert!(!Arc::ptr_eq(&first, second.endpoint()));
    }

    #[test]
    fn a_service_that_fails_is_left_alone_and_unfinished_leases_count_for_nothing() {
        let pool = pool(&["http://a"]);
        for _ in 0..20 {
            pool.lease(now(), &[], 100).unwrap().finish(Outcome::Failed, now());
        }
        let error = pool.lease(now(), &[], 100).unwrap_err();
        assert_eq!(error.code(), "gateway.circuit_open");
        let later = Timestamp::from_secs(1_006);
        for _ in 0..50 {
            drop(pool.lease(later, &[], 100).unwrap());
        }
        for _ in 0..3 {
            pool.lease(later, &[], 100).unwrap().finish(Outcome::Answered, later);
        }
        assert_eq!(pool.circuit(), CircuitState::Closed);
    }

    #[test]
    fn a_new_table_keeps_the_state_of_endpoints_that_it_names_again() {
        let target = |urls: &[&str]| Target { upstreams: urls.iter().map(|url| (*url).to_owned()).collect() };
        let mut old = Upstreams::default();
        let first = old.pool(&target(&["http://a", "http://b"]), &Upstreams::default()).unwrap();
        let mut new = Upstreams::default();
        let same = new.pool(&target(&["http://a", "http://b"]), &old).unwrap();
        let other = new.pool(&target(&["http://b"]), &old).unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        assert!(Arc::ptr_eq(&first.endpoints()[1], &other.endpoints()[0]));
    }

    #[test]
    fn no_more_wait_than_may_and_whoever_is_answered_makes_room() {
        let pool = pool(&["http://a"]);
        let first = pool.lease(now(), &[], 2).unwrap();
        let second = pool.lease(now(), &[], 2).unwrap();
        let error = pool.lease(now(), &[], 2).unwrap_err();
        assert_eq!((error.code(), error.kind().http_status()), ("gateway.upstream_busy", 503));
        first.finish(Outcome::Answered, now());
        let third = pool.lease(now(), &[], 2).unwrap();
        assert!(pool.lease(now(), &[], 2).is_err());
        drop((second, third));
        assert!(pool.lease(now(), &[], 2).is_ok());
    }

    #[test]
    fn retries_end_with_the_budget() {
        let pool = pool(&["http://a"]);
        let retry = || pool.retry("GET", Failure::Broken, 1, true, now(), 7);
        assert_eq!((0..10).filter_map(|_| retry()).count(), 3);
        assert_eq!(pool.retry("POST", Failure::Broken, 1, true, now(), 7), None);
    }
}
