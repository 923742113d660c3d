//! A circuit breaker: when most requests to a service fail, it is left alone for a while.

use std::time::Duration;

use crate::kernel::Timestamp;

/// Requests in a window before the circuit judges.
const REQUESTS: u32 = 20;
/// The window: two halves of this length, so that old results fade.
const HALF_WINDOW: Duration = Duration::from_secs(5);
/// How long it stays open.
const OPEN: Duration = Duration::from_secs(5);
/// Probes that have to succeed before it closes.
const PROBES: u32 = 3;
/// A probe without a result is given up after this, so that a lost one cannot hold the circuit.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// In which state a circuit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// Requests pass.
    Closed,
    /// Requests are refused until then.
    Open {
        /// When the first probe may pass.
        until: Timestamp,
    },
    /// A few requests pass, to see.
    HalfOpen,
}

/// Closed, it counts; open (at least half of 20 or more requests in the last 5 to 10 seconds failed),
/// it refuses for 5 seconds; half open, it lets three probes pass and closes when all succeed.
#[derive(Debug, Clone)]
pub struct Circuit {
    state: CircuitState,
    half: Half,
    before: Half,
    probes: u32,
    probe_successes: u32,
    probes_since: Timestamp,
}

#[derive(Debug, Clone, Copy, Default)]
struct Half {
    begin: Timestamp,
    requests: u32,
    failures: u32,
}

impl Default for Circuit {
    fn default() -> Circuit {
        Circuit {
            state: CircuitState::Closed,
            half: Half::default(),
            before: Half::default(),
            probes: 0,
            probe_successes: 0,
            probes_since: Timestamp::EPOCH,
        }
    }
}

impl Circuit {
    /// The state.
    pub fn state(&self) -> CircuitState {
        self.state
    }

    /// Asks to send a request: every grant has to be answered with [`Circuit::record`] or
    /// [`Circuit::forget`].
    ///
    /// # Errors
    /// How long to wait.
    pub fn acquire(&mut self, now: Timestamp) -> Result<(), Duration> {
        match self.state {
            CircuitState::Closed => Ok(()),
            CircuitState::Open { until } if now < until => Err(until.since(now)),
            CircuitState::Open { .. } => {
                self.state = CircuitState::HalfOpen;
                self.probes = 1;
                self.probe_successes = 0;
                self.probes_since = now;
                Ok(())
            }
            CircuitState::HalfOpen if self.probes < PROBES => {
                self.probes += 1;
                Ok(())
            }
            CircuitState::HalfOpen if now.since(self.probes_since) >= PROBE_TIMEOUT => {
                self.probes = self.probe_successes + 1;
                self.probes_since = now;
                Ok(())
            }
            CircuitState::HalfOpen => Err(Duration::from_secs(1)),
        }
    }

    /// The result of a granted request.
    pub fn record(&mut self, success: bool, now: Timestamp) {
        match self.state {
            CircuitState::Closed => self.count(success, now),
            CircuitState::HalfOpen if success => {
                self.probe_successes += 1;
                if self.probe_successes >= PROBES {
                    *self = Circuit::default();
                }
            }
            CircuitState::HalfOpen => self.open(now),
            CircuitState::Open { .. } => {}
        }
    }

    /// A granted request came to no result: its client went away.
    pub fn forget(&mut self) {
        if self.state == CircuitState::HalfOpen {
            self.probes = self.probes.saturating_sub(1);
        }
    }

    fn count(&mut self, success: bool, now: Timestamp) {
        let age = now.since(self.half.begin);
        if age >= HALF_WINDOW {
            self.before = if age < HALF_WINDOW * 2 { self.half } else { Half::default() };
            self.half = Half { begin: now, requests: 0, failures: 0 };
        }
        self.half.requests = self.half.requests.saturating_add(1);
        self.half.failures = self.half.failures.saturating_add(u32::from(!success));
        let requests = self.half.requests.saturating_add(self.before.requests);
        let failures = self.half.failures.saturating_add(self.before.failures);
        if !success && requests >= REQUESTS && failures.saturating_mul(2) >= requests {
            self.open(now);
        }
    }

    fn open(&mut self, now: Timestamp) {
        *self = Circuit { state: CircuitState::Open { until: now.plus(OPEN) }, ..Circuit::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_000 + seconds)
    }

    fn opened() -> Circuit {
        let mut circuit = Circuit::default();
        for _ in 0..20 {
            circuit.acquire(at(0)).unwrap();
            circuit.record(false, at(0));
        }
        circuit
    }

    #[test]
    fn it_opens_when_half_of_twenty_requests_fail() {
        let mut circuit = Circuit::default();
        for index in 0..19 {
            circuit.record(index % 2 == 0, at(0));
        }
        assert_eq!(circuit.state(), CircuitState::Closed);
        circuit.record(false, at(1));
        assert_eq!(circuit.state(), CircuitState::Open { until: at(6) });
        assert_eq!(circuit.acquire(at(2)), Err(Duration::from_secs(4)));
    }

    #[test]
    fn old_results_fade() {
        let mut circuit = Circuit::default();
        for _ in 0..19 {
            circuit.record(false, at(0));
        }
        circuit.record(false, at(20));
        assert_eq!(circuit.state(), CircuitState::Closed);
    }

    #[test]
    fn three_good_probes_close_it_and_a_bad_one_opens_it_again() {
        let mut circuit = opened();
        for _ in 0..3 {
            circuit.acquire(at(5)).unwrap();
        }
        assert!(circuit.acquire(at(5)).is_err());
        for _ in 0..3 {
            circuit.record(true, at(5));
        }
        assert_eq!(circuit.state(), CircuitState::Closed);

        let mut circuit = opened();
        circuit.acquire(at(5)).unwrap();
        circuit.record(false, at(6));
        assert_eq!(circuit.state(), CircuitState::Open { until: at(11) });
    }

    #[test]
    fn probes_that_come_to_nothing_do_not_hold_it() {
        let mut circuit = opened();
        for _ in 0..3 {
            circuit.acquire(at(5)).unwrap();
        }
        circuit.forget();
        circuit.acquire(at(6)).unwrap();
        assert!(circuit.acquire(at(7)).is_err());
        circuit.acquire(at(65)).unwrap();
    }

    proptest! {
        #[test]
        fn it_never_refuses_for_ever(results in proptest::collection::vec((any::<bool>(), any::<bool>(), 0_u64..4), 0..200)) {
            let mut circuit = Circuit::default();
            let mut now = 0;
            for (answered, success, step) in results {
                now += step;
                if circuit.acquire(at(now)).is_ok() && answered {
                    circuit.record(success, at(now));
                }
            }
            prop_assert!(circuit.acquire(at(now + 61)).is_ok());
        }
    }
}
