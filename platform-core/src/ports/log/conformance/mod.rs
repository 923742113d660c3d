//! What every log has to pass: one case for each promise of [`EventLog`](super::EventLog).
//!
//! A log's tests name a [`Place`] once, and get one `#[tokio::test]` for each case:
//!
//! ```
//! mod memory {
//!     use std::sync::{Arc, OnceLock};
//!
//!     use platform_core::kernel::Result;
//!     use platform_core::ports::log::{EventLog, MemoryLog, conformance::Place};
//!     use platform_core::ports::runtime::Runtime;
//!
//!     struct Memory(OnceLock<MemoryLog>);
//!
//!     impl Place for Memory {
//!         fn log(&self, runtime: Arc<dyn Runtime>) -> Result<Arc<dyn EventLog>> {
//!             Ok(Arc::new(self.0.get_or_init(|| MemoryLog::new(runtime)).clone()))
//!         }
//!     }
//!
//!     platform_core::log_conformance!(Memory(OnceLock::new()));
//! }
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(missing_docs, reason = "the name of a case is its sentence")]

pub mod appending;
pub mod groups;
pub mod reading;
pub mod reopening;
pub mod retention;
pub mod topics;

mod kit;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::EventLog;
use crate::kernel::{BoxFuture, Result};
use crate::ports::runtime::Runtime;

/// Where a log keeps its data, from one opening to the next. Every case gets an empty one.
pub trait Place: Send + Sync {
    /// Opens it as a process does when it starts. What an earlier call returned was dropped before. The
    /// log takes the time from this runtime, and nothing else.
    ///
    /// # Errors
    /// `log.locked` when it is open already, and not shared.
    fn log(&self, runtime: Arc<dyn Runtime>) -> Result<Arc<dyn EventLog>>;

    /// Whether several may have it open at once, as the nodes of a cluster do.
    fn is_shared(&self) -> bool {
        false
    }

    /// Ends when a subscription that has told nothing until then has nothing to tell. A log in the process knows that
    /// after some turns; one behind a network needs its time.
    fn patience(&self) -> BoxFuture<'static, ()> {
        let mut turns = 0;
        Box::pin(poll_fn(move |context| {
            turns += 1;
            context.waker().wake_by_ref();
            if turns > 100 { Poll::Ready(()) } else { Poll::Pending }
        }))
    }
}

/// Hands the list of all cases to a macro, after what it was given.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_cases {
    ($($callback:ident)::+ ! ($($given:tt)*)) => {
        $($callback)::+! {
            ($($given)*)
            topics: an_undeclared_topic_is_refused, a_topic_is_declared_again_without_harm,
                the_number_of_partitions_is_fixed, names_and_numbers_that_are_not_allowed_are_refused,
                a_new_topic_is_empty, topics_are_apart;
            appending: records_stand_in_the_order_of_the_list, offsets_count_from_zero_without_gaps,
                an_append_tells_where_each_record_stands,
                records_of_a_key_stand_in_one_partition_in_order, keys_spread_over_the_partitions,
                many_appends_at_once_lose_nothing, an_append_of_nothing_does_nothing,
                empty_keys_and_values_come_back, every_byte_comes_back, a_maximal_record_comes_back,
                a_record_that_is_too_large_is_refused_with_its_list,
                a_record_carries_the_time_of_its_append, a_caller_that_gives_up_does_no_harm;
            reading: reading_goes_on_from_any_offset, a_limit_is_kept, reading_behind_the_end_is_empty,
                a_partition_that_is_not_there_is_refused, the_ends_tell_and_wake,
                what_the_ends_tell_can_be_read, readers_and_writers_do_not_hinder_each_other;
            groups: a_subscription_begins_at_the_beginning, next_waits_for_a_record,
                all_partitions_come_in_their_order, a_group_goes_on_after_what_it_committed,
                what_was_not_committed_comes_again, groups_do_not_know_each_other,
                two_members_share_the_partitions, who_stays_takes_over_from_who_leaves,
                members_beyond_the_partitions_wait, committing_a_foreign_partition_is_refused;
            retention: what_is_young_and_little_stays, old_records_go_from_the_front,
                a_partition_keeps_its_size, offsets_go_on_when_everything_is_gone,
                a_reader_from_before_begins_at_the_first, a_subscription_goes_on_behind_what_is_gone,
                the_last_declaration_of_retention_counts;
            reopening: everything_survives, offsets_go_on, groups_go_on, what_retention_removed_stays_away,
                a_second_opener_is_refused_or_shares, many_reopenings_lose_nothing;
        }
    };
}

/// One `#[tokio::test]` for each case of the suite, each over a fresh [`Place`].
#[macro_export]
macro_rules! log_conformance {
    ($place:expr) => {
        $crate::__log_cases! { $crate::__conformance_tests!(log, $place) }
    };
}

#[cfg(test)]
mod tests {
    use super::Place;
    use crate::kernel::{Error, Result};
    use crate::ports::log::{EventLog, MemoryLog};
    use crate::ports::runtime::Runtime;
    use parking_lot::Mutex;
    use std::sync::{Arc, Weak};

    /// Memory that outlives its handles: one at a time.
    struct MemoryPlace(Mutex<Option<MemoryLog>>, Mutex<Weak<dyn EventLog>>);

    impl MemoryPlace {
        fn new() -> MemoryPlace {
            MemoryPlace(Mutex::default(), Mutex::new(Weak::<MemoryLog>::new()))
        }
    }

    impl Place for MemoryPlace {
        fn log(&self, runtime: Arc<dyn Runtime>) -> Result<Arc<dyn EventLog>> {
            if self.1.lock().strong_count() > 0 {
                return Err(Error::unavailable("log.locked", "it is open already"));
            }
            let log: Arc<dyn EventLog> =
                Arc::new(self.0.lock().get_or_insert_with(|| MemoryLog::new(runtime)).clone());
            *self.1.lock() = Arc::downgrade(&log);
            Ok(log)
        }
    }

    crate::log_conformance!(MemoryPlace::new());

    #[test]
    fn every_case_is_listed() {
        let cases = crate::__log_cases!(crate::ports::conformance::listed_cases!());
        assert!(crate::ports::conformance::count_of_listed(&cases) >= 40);
    }
}
