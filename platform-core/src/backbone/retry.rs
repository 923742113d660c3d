//! When to try again.

use std::time::Duration;

use crate::kernel::{Error, ErrorKind};
use crate::ports::runtime::Runtime;

/// The first pause.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause of a handler.
const LONGEST: Duration = Duration::from_secs(5);
/// The longest pause while something that everybody needs is out of reach.
const LONGEST_OUTAGE: Duration = Duration::from_secs(30);
/// Attempts at an event before it is a dead letter: the pauses between them sum up to 1.2 to 1.6 s.
const ATTEMPTS: u32 = 6;
/// Attempts when something is unavailable, which often mends itself: 12 to 17 s.
const ATTEMPTS_UNAVAILABLE: u32 = 10;

/// Whether an event that failed so often is given up.
pub(super) fn is_given_up(error: &Error, attempts: u32) -> bool {
    let limit = if error.kind() == ErrorKind::Unavailable { ATTEMPTS_UNAVAILABLE } else { ATTEMPTS };
    attempts >= limit
}

/// Whether a failure lies in the handler's store itself: it is no event's fault.
pub(super) fn is_outage(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.code().starts_with("store.")
}

/// The pause after the n-th failure (from 1): 50 ms, doubled each time up to 5 s; a random part of the
/// second half is left out, so that what failed together does not come back together.
pub(super) fn pause_after(failures: u32, runtime: &dyn Runtime) -> Duration {
    jittered(FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST), runtime)
}

fn jittered(pause: Duration, runtime: &dyn Runtime) -> Duration {
    let mut random = [0; 8];
    runtime.fill_random(&mut random);
    let random = u64::from_le_bytes(random);
    let half = u64::try_from(pause.as_micros() / 2).unwrap_or(u64::MAX).max(1);
    pause - Duration::from_micros(random % half)
}

/// Growing pauses while something is out of reach.
#[derive(Default)]
pub(super) struct Pause {
    failures: u32,
}

impl Pause {
    /// The next pause.
    pub(super) fn next(&mut self, runtime: &dyn Runtime) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_OUTAGE);
        self.failures += 1;
        jittered(pause, runtime)
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::runtime::SimRuntime;

    #[test]
    fn pauses_double_up_to_their_limit_and_differ() {
        let world = SimRuntime::new(3);
        let runtime = world.runtime();
        for (failures, full) in [(1, 50), (2, 100), (3, 200), (8, 5_000), (40, 5_000)] {
            let pause = pause_after(failures, &*runtime);
            let full = Duration::from_millis(full);
            assert!(pause > full / 2 && pause <= full, "{failures}: {pause:?}");
        }
        assert_ne!(pause_after(3, &*runtime), pause_after(3, &*runtime));
    }

    #[test]
    fn what_is_unavailable_is_given_more_time() {
        let wrong = Error::invalid("test.wrong", "wrong");
        let away = Error::unavailable("test.away", "away");
        assert!(is_given_up(&wrong, ATTEMPTS) && !is_given_up(&wrong, ATTEMPTS - 1));
        assert!(!is_given_up(&away, ATTEMPTS) && is_given_up(&away, ATTEMPTS_UNAVAILABLE));
    }
}
