//! What every cache has to pass: one case for each promise of [`Cache`](super::Cache).
//!
//! A cache's tests name a [`Place`] once, and get one `#[tokio::test]` for each case:
//!
//! ```
//! mod local {
//!     use std::sync::Arc;
//!
//!     use platform_core::kernel::{BoxFuture, Result};
//!     use platform_core::ports::cache::{Cache, LocalCache, conformance::Place};
//!     use platform_core::ports::runtime::Runtime;
//!
//!     struct Local;
//!
//!     impl Place for Local {
//!         fn cache(&self, runtime: Arc<dyn Runtime>, bytes: usize) -> BoxFuture<'_, Result<Arc<dyn Cache>>> {
//!             Box::pin(async move { Ok(Arc::new(LocalCache::new(runtime, bytes)) as _) })
//!         }
//!     }
//!
//!     platform_core::cache_conformance!(Local);
//! }
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(missing_docs, reason = "the name of a case is its sentence")]

pub mod invalidation;
pub mod loading;
pub mod room;
pub mod times;
pub mod values;

mod kit;

use std::sync::Arc;

use super::Cache;
use crate::kernel::{BoxFuture, Result};
use crate::ports::runtime::Runtime;

/// Where a cache comes from. Every case gets an empty one.
pub trait Place: Send + Sync {
    /// Makes it, or connects to it. The cache takes the time from this runtime, and nothing else, and
    /// keeps at most so many bytes in the process.
    ///
    /// # Errors
    /// When it cannot be reached: then the case fails.
    fn cache(
        &self,
        runtime: Arc<dyn Runtime>,
        capacity_bytes: usize,
    ) -> BoxFuture<'_, Result<Arc<dyn Cache>>>;
}

/// Hands the list of all cases to a macro, after what it was given.
#[doc(hidden)]
#[macro_export]
macro_rules! __cache_cases {
    ($($callback:ident)::+ ! ($($given:tt)*)) => {
        $($callback)::+! {
            ($($given)*)
            values: a_new_cache_is_empty, what_was_put_is_returned, a_put_replaces, keys_are_apart,
                what_was_removed_is_gone, removing_nothing_does_nothing, every_byte_comes_back,
                every_key_is_a_key;
            times: a_value_is_there_until_its_end, nothing_is_returned_after_its_end,
                a_put_begins_a_new_time, each_value_has_its_own_end, a_time_of_nothing_is_over_at_once,
                a_time_without_end_works, the_wall_clock_plays_no_part;
            room: the_bytes_stay_within_the_capacity, the_bytes_of_keys_count, a_value_that_just_fits_is_kept,
                a_value_above_the_capacity_is_not_kept, what_is_replaced_gives_its_room_back,
                what_is_removed_gives_its_room_back, a_cache_without_room_works;
            loading: what_is_missing_is_loaded_and_kept, what_is_there_is_not_loaded,
                a_loaded_value_ends_in_its_time, callers_at_once_share_one_load,
                different_keys_are_loaded_side_by_side, a_failing_load_is_told_and_not_kept,
                all_who_wait_are_told_of_a_failure, a_load_that_is_given_up_is_taken_over,
                a_value_that_is_too_large_is_returned_all_the_same, a_load_may_use_the_cache;
            invalidation: what_a_removal_overtakes_is_not_kept, who_asks_after_a_removal_loads_anew,
                a_load_that_was_overtaken_does_not_end_the_next_one, a_put_during_a_load_stays,
                nobody_gets_what_was_old_when_they_asked, nobody_on_any_thread_gets_what_was_old;
        }
    };
}

/// One `#[tokio::test]` for each case of the suite, each over a fresh [`Place`].
#[macro_export]
macro_rules! cache_conformance {
    ($place:expr) => {
        $crate::__cache_cases! { $crate::__conformance_tests!(cache, $place) }
    };
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Place;
    use crate::kernel::{BoxFuture, Result};
    use crate::ports::cache::{Cache, LocalCache};
    use crate::ports::runtime::Runtime;

    struct Local;

    impl Place for Local {
        fn cache(&self, runtime: Arc<dyn Runtime>, bytes: usize) -> BoxFuture<'_, Result<Arc<dyn Cache>>> {
            Box::pin(async move { Ok(Arc::new(LocalCache::new(runtime, bytes)) as _) })
        }
    }

    crate::cache_conformance!(Local);

    #[test]
    fn every_case_is_listed() {
        let cases = crate::__cache_cases!(crate::ports::conformance::listed_cases!());
        assert!(crate::ports::conformance::count_of_listed(&cases) >= 35);
    }
}
