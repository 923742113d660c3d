//! What every limiter has to pass: one case for each promise of [`Limiter`](super::Limiter).
//!
//! A limiter's tests name a [`Place`] once, and get one `#[tokio::test]` for each case:
//!
//! ```
//! mod local {
//!     use std::sync::Arc;
//!
//!     use platform_core::kernel::{BoxFuture, Result};
//!     use platform_core::ports::limiter::{Limiter, LocalLimiter, conformance::Place};
//!
//!     struct Local;
//!
//!     impl Place for Local {
//!         fn limiter(&self) -> BoxFuture<'_, Result<Arc<dyn Limiter>>> {
//!             Box::pin(async { Ok(Arc::new(LocalLimiter::default()) as _) })
//!         }
//!     }
//!
//!     platform_core::limiter_conformance!(Local);
//! }
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(missing_docs, reason = "the name of a case is its sentence")]

pub mod callers;
pub mod clock;
pub mod costs;
pub mod keys;
pub mod rates;

mod kit;

use std::sync::Arc;

use super::Limiter;
use crate::kernel::{BoxFuture, Result};

/// Where a limiter comes from. Every case gets an empty one; the cases bring the time, and wait for verdicts by blocking
/// their own thread: what such a verdict needs runs on other threads.
pub trait Place: Send + Sync {
    /// Makes it, or connects to it.
    ///
    /// # Errors
    /// When it cannot be reached: then the case fails.
    fn limiter(&self) -> BoxFuture<'_, Result<Arc<dyn Limiter>>>;
}

/// Hands the list of all cases to a macro, after what it was given.
#[doc(hidden)]
#[macro_export]
macro_rules! __limiter_cases {
    ($($callback:ident)::+ ! ($($given:tt)*)) => {
        $($callback)::+! {
            ($($given)*)
            rates: a_burst_is_allowed_at_once_and_no_more, what_was_used_comes_back_evenly,
                not_more_than_a_burst_is_saved_up, the_rate_holds_over_a_long_time,
                a_rate_that_does_not_divide_its_period_is_never_exceeded,
                a_steady_caller_at_the_rate_is_never_refused, a_refused_request_takes_nothing,
                retry_after_is_exact, remaining_and_reset_tell_the_truth,
                a_quota_that_changes_counts_from_the_next_request;
            costs: a_cost_counts_as_so_many_requests, a_cost_of_the_whole_burst_is_allowed_once,
                a_cost_above_the_burst_is_never_allowed, a_cost_of_nothing_takes_nothing,
                what_is_too_dear_leaves_room_for_what_is_cheap, retry_after_is_that_of_the_cost;
            keys: keys_do_not_know_each_other, every_key_is_a_key, keys_that_are_whole_again_are_forgotten,
                keys_in_use_are_remembered, refused_strangers_are_not_remembered_for_ever;
            clock: a_clock_that_goes_back_gives_nothing_away, a_clock_that_went_back_goes_on,
                the_same_moment_is_no_time, the_largest_values_give_a_verdict,
                the_smallest_values_give_a_verdict;
            callers: callers_at_once_never_get_more_than_the_burst,
                callers_at_once_with_costs_never_get_more_than_the_burst,
                callers_of_many_keys_do_not_hinder_each_other;
        }
    };
}

/// One `#[tokio::test]` for each case of the suite, each over a fresh [`Place`].
#[macro_export]
macro_rules! limiter_conformance {
    ($place:expr) => {
        $crate::__limiter_cases! { $crate::__conformance_tests!(limiter, $place) }
    };
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Place;
    use crate::kernel::{BoxFuture, Result};
    use crate::ports::limiter::{Limiter, LocalLimiter};

    struct Local;

    impl Place for Local {
        fn limiter(&self) -> BoxFuture<'_, Result<Arc<dyn Limiter>>> {
            Box::pin(async { Ok(Arc::new(LocalLimiter::default()) as _) })
        }
    }

    crate::limiter_conformance!(Local);

    #[test]
    fn every_case_is_listed() {
        let cases = crate::__limiter_cases!(crate::ports::conformance::listed_cases!());
        assert!(crate::ports::conformance::count_of_listed(&cases) >= 25);
    }
}
