//! What every engine has to pass: one case for each promise of [`Store`](super::Store).
//!
//! An engine's tests name a [`Place`] once, and get one `#[tokio::test]` for each case:
//!
//! ```
//! mod memory {
//!     use std::sync::Arc;
//!
//!     use platform_core::kernel::Result;
//!     use platform_core::ports::store::{MemoryStores, Stores, conformance::Place};
//!
//!     struct Memory(MemoryStores);
//!
//!     impl Place for Memory {
//!         fn stores(&self) -> Result<Arc<dyn Stores>> {
//!             Ok(Arc::new(self.0.clone()))
//!         }
//!     }
//!
//!     platform_core::store_conformance!(Memory(MemoryStores::default()));
//! }
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(missing_docs, reason = "the name of a case is its sentence")]

pub mod bodies;
pub mod commits;
pub mod counters;
pub mod expects;
pub mod groups;
pub mod idempotency;
pub mod indexes;
pub mod limits;
pub mod migration;
pub mod outbox;
pub mod reopening;
pub mod scans;

mod kit;

use std::sync::Arc;

use super::Stores;
use crate::kernel::Result;

pub use kit::{Thing, schema};

/// Where an engine keeps its data, from one opening to the next. Every case gets an empty one.
pub trait Place: Send + Sync {
    /// Opens it as a process does when it starts. What an earlier call returned was dropped before, but
    /// in the case of the second opener.
    ///
    /// # Errors
    /// `store.locked` when it is open already.
    fn stores(&self) -> Result<Arc<dyn Stores>>;

    /// Whether several may have it open at once, as the nodes of a cluster do.
    fn is_shared(&self) -> bool {
        false
    }
}

/// Hands the list of all cases to a macro, after what it was given.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_cases {
    ($($callback:ident)::+ ! ($($given:tt)*)) => {
        $($callback)::+! {
            ($($given)*)
            commits: a_new_store_is_empty_and_at_position_zero, positions_count_from_one_without_gaps,
                a_refused_batch_takes_no_position, an_empty_batch_takes_a_position,
                a_batch_is_applied_as_a_whole, a_refused_batch_leaves_no_trace,
                committed_tells_the_position_and_wakes, deleting_what_is_not_there_does_nothing,
                a_put_replaces_the_whole_document, a_batch_writes_a_document_at_most_once,
                get_answers_in_the_order_of_the_keys, get_of_nothing_returns_nothing,
                one_get_sees_one_snapshot, one_scan_sees_one_snapshot,
                the_same_id_in_two_collections_is_two_documents,
                undeclared_collections_and_indexes_are_refused, a_caller_that_gives_up_does_no_harm;
            expects: absent_holds_only_while_there_is_nothing,
                a_version_holds_only_while_it_is_the_last, a_version_of_nothing_is_a_conflict,
                an_expect_guards_a_document_that_is_not_written,
                the_conflict_names_the_document_that_changed, a_batch_of_expects_alone_is_checked,
                versions_are_not_reused_after_delete_and_re_create,
                a_version_is_the_position_of_the_last_write, an_equal_put_moves_the_version,
                documents_of_one_batch_share_their_version, a_conflict_can_be_decided_again;
            groups: of_two_batches_on_one_version_one_wins, of_two_batches_on_an_absent_document_one_wins,
                of_two_batches_on_one_unique_entry_one_wins, a_counter_bound_holds_over_a_group,
                a_refused_batch_does_not_hurt_its_group, batches_see_those_before_them_in_the_group,
                unique_entries_swap_within_a_batch, unique_entries_wander_within_a_group,
                an_entry_that_a_delete_frees_can_be_taken_in_the_group,
                positions_follow_the_order_of_the_queue, of_many_writes_in_a_group_the_last_stays,
                entries_of_overwritten_writes_do_not_stay,
                what_is_made_and_deleted_in_a_group_leaves_nothing,
                a_repeated_request_within_a_group_is_applied_once, counters_add_up_within_a_group,
                events_of_a_group_stand_in_commit_order, many_concurrent_batches_lose_nothing;
            indexes: a_unique_entry_is_refused_to_a_second_document,
                a_document_keeps_its_own_unique_entry, a_replaced_entry_is_gone_and_the_new_one_is_found,
                a_deleted_document_has_no_entries, a_missing_value_has_no_entry,
                all_entries_of_a_document_are_found, many_entries_are_replaced_one_by_one,
                entries_compare_as_bytes, an_empty_entry_is_an_entry, an_entry_of_maximal_length_is_found,
                unique_holds_for_many_entries_too, unique_holds_within_one_collection,
                unique_entries_of_a_many_index_swap, an_entry_twice_is_refused,
                two_entries_of_a_single_index_are_refused, binary_documents_have_indexes_too,
                a_freed_unique_entry_is_free_at_once, equal_entries_are_ordered_by_id;
            scans: ids_come_in_the_order_of_their_bytes, keys_with_every_byte_value_are_kept_apart,
                bounds_include_and_exclude, a_prefix_covers_what_begins_with_it,
                exactly_finds_one_entry, an_empty_range_is_empty, pages_cover_everything_once,
                pages_of_equal_entries_cover_everything_once, pages_of_many_entries_cover_everything_once,
                pages_of_a_unique_index_cover_everything_once,
                the_last_page_has_no_cursor, a_page_after_the_end_is_empty,
                pages_go_on_while_writers_run, a_cursor_outlives_its_document,
                a_cursor_does_not_open_what_the_range_closes, a_foreign_cursor_is_refused,
                a_document_stands_once_per_entry, random_ranges_agree_with_a_model;
            bodies: json_comes_back_as_the_same_value, scalars_are_documents_too,
                an_empty_body_of_bytes_comes_back, every_byte_comes_back,
                a_maximal_body_comes_back, a_body_above_the_maximum_is_refused,
                what_is_not_json_is_refused, the_character_nul_is_refused,
                another_kind_of_body_is_refused;
            counters: an_absent_counter_counts_as_zero, the_new_values_come_back_in_order,
                bounds_are_inclusive, a_counter_outside_its_bounds_tells_its_value,
                an_overflow_is_out_of_range, a_counter_has_versions_like_any_document,
                adding_to_a_text_is_refused, a_counter_stands_in_a_json_collection,
                an_integer_that_was_put_can_be_added_to, a_deleted_counter_begins_anew;
            idempotency: a_repetition_gets_the_first_answer_and_applies_nothing,
                another_request_under_the_key_is_refused, another_scope_is_another_key,
                an_expired_record_is_invisible_at_once, a_repetition_is_answered_before_any_expect,
                a_refused_batch_remembers_nothing, records_survive_reopening,
                a_record_can_be_read_before_deciding, expired_records_are_found_by_their_expiry;
            outbox: events_come_in_commit_order, reading_goes_on_after_a_position,
                the_envelope_comes_back_unchanged, trimmed_events_are_gone_at_once,
                trimming_beyond_the_end_does_not_swallow_what_follows, events_and_trims_survive_reopening,
                an_event_that_is_too_large_is_refused_with_its_batch, commits_without_events_leave_none,
                a_limit_of_the_outbox_is_kept;
            limits: keys_have_one_to_the_maximal_number_of_bytes, entries_above_the_maximum_are_refused,
                a_document_has_a_bounded_number_of_entries, operations_are_bounded_and_the_maximum_works,
                events_of_a_batch_are_bounded, the_bytes_of_a_batch_are_bounded,
                keys_of_a_get_are_bounded, the_documents_of_a_scan_are_bounded;
            reopening: everything_survives, positions_go_on, a_second_handle_of_a_store_is_refused,
                a_second_opener_is_refused_or_shares, a_newer_schema_is_refused,
                stores_of_one_place_are_apart, names_that_are_not_allowed_are_refused,
                many_reopenings_keep_what_was_acknowledged;
            migration: a_new_collection_is_made, a_new_index_is_filled, a_changed_index_is_rebuilt,
                an_index_that_was_away_is_filled_anew, a_unique_index_over_duplicates_is_refused,
                an_index_may_become_many, counters_are_no_obstacle, many_documents_are_filled,
                filling_keeps_versions_and_position, a_new_unique_index_holds_from_then_on;
        }
    };
}

/// One `#[tokio::test]` for each case of the suite, each over a fresh [`Place`].
#[macro_export]
macro_rules! store_conformance {
    ($place:expr) => {
        $crate::__store_cases! { $crate::__conformance_tests!(store, $place) }
    };
}

#[cfg(test)]
mod tests {
    use super::Place;
    use crate::kernel::Result;
    use crate::ports::store::{MemoryStores, Stores};

    /// Memory that outlives its handles.
    #[derive(Default)]
    struct MemoryPlace(MemoryStores);

    impl Place for MemoryPlace {
        fn stores(&self) -> Result<std::sync::Arc<dyn Stores>> {
            Ok(std::sync::Arc::new(self.0.clone()))
        }
    }

    crate::store_conformance!(MemoryPlace::default());

    #[test]
    fn every_case_is_listed() {
        let cases = crate::__store_cases!(crate::ports::conformance::listed_cases!());
        assert!(crate::ports::conformance::count_of_listed(&cases) >= 80);
    }
}
