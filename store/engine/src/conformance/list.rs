//! The names of the tests, and nothing else.

/// Declares every test of the public API, run on the [`Subject`](crate::conformance::Subject) that `$start` makes: a
/// path to a function, from the root of the crate. Attributes of the tests may follow, as `ignore = "takes minutes"`.
#[macro_export]
macro_rules! api_conformance {
    ($start:path $(, $attribute:meta)*) => {
        $crate::conformance_tests! { $start, ($($attribute)*),
            reads:
                a_created_row_is_read_back_as_it_was_answered,
                a_read_answers_the_etag_of_the_row,
                a_row_that_does_not_exist_is_not_found_and_named,
                a_row_is_looked_up_by_each_of_its_unique_indexes,
                a_batch_answers_rows_in_the_order_asked_and_repeats_what_is_asked_twice,
                a_batch_with_a_missing_row_fails_unless_it_may_be_missing,
                a_batch_asks_composite_keys_as_messages,
                a_batch_of_more_than_500_keys_is_refused,
                a_read_mask_shows_the_named_fields_only,
                a_read_mask_of_unknown_fields_is_refused,
                secret_fields_are_written_and_never_shown;
            writes:
                a_create_of_a_key_that_exists_is_refused_and_changes_nothing,
                a_create_sets_defaults_and_times_and_ignores_what_the_store_keeps,
                a_request_without_a_row_is_refused,
                an_update_without_a_mask_writes_the_fields_that_are_set,
                an_update_moves_etag_and_update_time_and_keeps_the_create_time,
                an_update_of_a_row_that_does_not_exist_is_not_found,
                an_update_may_create_the_row_from_all_that_it_says,
                an_update_that_may_create_must_name_its_row,
                what_never_changes_may_be_repeated_but_not_changed,
                what_the_store_keeps_is_ignored_in_an_update,
                a_secret_stays_as_it_is_when_other_fields_change,
                a_deleted_row_is_gone_and_its_key_is_free,
                a_delete_of_a_row_that_does_not_exist_is_not_found_unless_it_may_be_missing,
                a_write_that_is_only_validated_answers_as_if_and_changes_nothing,
                the_etag_of_a_row_without_a_version_is_that_of_its_content;
            etags:
                a_write_with_the_current_etag_happens_and_with_an_old_one_is_aborted,
                an_etag_is_taken_with_and_without_quotes_and_star_means_any_row,
                a_text_that_is_no_etag_matches_no_row,
                the_etag_of_another_row_or_of_a_former_one_does_not_fit,
                a_delete_compares_the_etag,
                an_entity_may_demand_an_etag_of_every_change,
                a_commit_answers_the_etag_of_each_row_it_wrote;
            masks:
                only_the_named_fields_are_written_and_absent_ones_are_cleared,
                an_empty_text_and_no_text_are_different_in_an_optional_field,
                a_star_replaces_everything_but_what_never_changes,
                a_path_into_a_message_changes_that_part_only,
                a_path_into_a_message_that_is_not_there_makes_it,
                unknown_paths_are_refused_and_named_in_the_mask,
                rules_hold_for_what_the_mask_clears,
                the_key_and_what_the_store_keeps_may_be_named_without_effect,
                naming_a_member_of_a_oneof_clears_the_others_if_it_is_set;
            types:
                numbers_of_32_bits,
                numbers_of_64_bits,
                floating_point_numbers,
                there_is_one_zero,
                numbers_that_are_not_finite_are_refused,
                texts_of_any_characters,
                texts_that_look_alike_are_different,
                bytes_of_any_value,
                enums_with_numbers_nobody_declared,
                times_from_the_first_to_the_last,
                durations_of_both_signs,
                dates_with_and_without_all_their_parts,
                decimals_to_their_last_digit,
                decimals_in_any_spelling_are_kept_exactly_or_refused,
                times_and_durations_out_of_range_are_refused;
            structures:
                a_row_of_nothing_but_its_key,
                a_zero_is_absent_in_a_plain_field_and_kept_in_an_optional_one,
                optional_fields_at_the_ends_of_their_range,
                wrappers_distinguish_absent_from_zero,
                nested_messages_keep_every_field,
                lists_and_maps_keep_order_duplicates_and_odd_keys,
                json_values_of_any_shape,
                a_null_json_value_is_a_value,
                one_member_of_a_oneof_is_set,
                every_field_can_be_cleared_and_set_again;
            keys:
                the_parts_of_a_composite_key_name_a_row_together,
                keys_of_every_type_are_told_apart,
                an_empty_key_names_no_row,
                counted_keys_go_up_and_leave_room_for_given_ones,
                counted_keys_that_are_used_up_are_said_to_be,
                a_counted_key_is_known_to_the_rest_of_its_commit_only_afterwards,
                snowflakes_are_positive_and_in_order,
                uuids_are_made_in_order_and_may_be_given;
            unique:
                a_value_that_is_taken_is_refused_and_the_index_named,
                absent_values_are_never_equal,
                empty_values_are_equal,
                values_that_differ_in_case_accents_or_blanks_are_different,
                a_value_is_free_again_once_its_row_lets_go_of_it,
                values_are_handed_on_within_a_commit_in_the_order_of_its_writes;
            commits:
                writes_of_several_entities_happen_together_and_answer_in_order,
                nothing_happens_if_the_last_write_fails,
                the_first_write_that_fails_is_the_one_that_is_told,
                later_writes_see_what_earlier_ones_did,
                two_writes_of_one_row_are_refused,
                all_that_is_wrong_is_said_at_once_with_the_place_of_each,
                a_commit_of_more_than_500_writes_is_refused,
                a_commit_that_is_only_validated_changes_nothing,
                rows_of_what_is_no_entity_are_refused;
            preconditions:
                a_row_must_exist_or_must_not,
                a_check_writes_nothing_and_fails_the_whole,
                a_condition_holds_of_the_current_row,
                an_etag_holds_in_a_commit_as_it_does_elsewhere,
                what_contradicts_itself_is_refused_before_anything_is_read,
                preconditions_see_the_writes_before_them;
            transforms:
                an_increment_adds_to_every_kind_of_number,
                an_absent_number_counts_as_zero,
                a_result_out_of_the_fields_range_fails_and_changes_nothing,
                the_rules_of_a_field_hold_for_the_result,
                the_larger_or_the_smaller_value_is_kept,
                the_commits_time_is_the_time_of_its_other_columns,
                items_are_added_once_and_removed_wherever_they_are,
                a_transform_of_a_member_of_a_oneof_clears_the_others,
                mask_and_transforms_work_together_and_the_mask_comes_first,
                a_row_that_is_created_by_an_update_starts_from_its_fields,
                transforms_in_a_commit_and_in_a_batch,
                what_cannot_be_transformed_is_refused;
            batches:
                a_batch_answers_in_the_order_of_its_requests,
                a_batch_with_one_that_fails_does_nothing,
                all_that_is_wrong_in_a_batch_is_said_at_once,
                a_row_is_written_once_in_a_batch,
                a_batch_of_etags_compares_each,
                what_belongs_to_the_whole_is_not_said_of_a_part,
                a_batch_of_soft_deletes_answers_the_hidden_rows;
            replays:
                a_repeated_request_is_answered_alike_and_done_once,
                the_first_answer_is_given_although_the_row_has_changed_since,
                the_same_id_with_other_content_is_refused,
                a_request_that_failed_may_be_tried_again_under_its_id,
                every_kind_of_write_can_be_repeated,
                a_validated_request_is_not_remembered,
                ids_are_short_and_visible;
            deletes:
                a_deleted_row_is_answered_with_its_time_and_hidden_from_lists_and_lookups,
                an_undeleted_row_is_as_it_was_but_for_its_version,
                a_deleted_row_cannot_be_written,
                a_deleted_row_keeps_its_unique_values,
                only_a_deleted_row_can_be_undeleted,
                etags_are_compared_on_delete_and_undelete,
                rows_are_hidden_without_a_column_that_shows_it,
                preconditions_count_a_deleted_row_as_absent,
                a_delete_that_is_only_validated_hides_nothing;
            expiry:
                an_expired_row_is_not_there_for_any_read,
                an_expired_row_is_not_there_for_any_write,
                key_and_unique_values_of_an_expired_row_are_free,
                a_row_that_is_still_there_is_in_the_way,
                a_row_ends_when_an_update_says_so_and_lasts_when_it_does_not,
                an_expired_row_cannot_be_referred_to,
                what_refers_to_an_expired_row_is_treated_as_by_a_delete_when_another_takes_its_place,
                an_expired_row_that_is_held_fast_keeps_key_and_unique_values,
                a_write_that_takes_the_place_of_an_expired_row_sees_what_went_with_it;
            references:
                a_row_that_is_named_must_be_there,
                an_absent_value_names_nothing,
                a_row_that_is_named_cannot_be_deleted,
                rows_go_with_the_row_they_name_and_others_let_go_of_it,
                a_value_that_is_named_cannot_change_under_its_referrers,
                rows_that_can_be_hidden_are_hidden_by_a_cascade,
                a_hidden_row_cannot_be_named_and_restricts_nothing,
                a_tree_goes_with_its_root,
                a_row_may_name_itself_and_goes_alone,
                a_cycle_goes_as_a_whole,
                a_restriction_inside_what_goes_restricts_nothing_and_one_outside_stops_all,
                one_row_may_be_let_go_of_twice_in_a_delete,
                a_row_that_names_itself_by_a_value_may_change_both,
                references_are_checked_in_their_place_in_a_commit;
            rules:
                lengths_are_counted_in_characters_bytes_and_items,
                a_required_field_must_be_set,
                ranges_hold_at_their_ends,
                patterns_and_choices_are_about_the_whole_value,
                every_field_that_is_wrong_is_named_at_once,
                fields_that_an_update_does_not_name_are_not_checked;
            paging:
                pages_give_every_row_once_in_every_order,
                rows_without_a_unique_value_are_on_every_page,
                pages_of_a_filtered_list_end_where_it_ends,
                absent_values_come_first_and_ties_are_in_key_order,
                rows_written_between_pages_shift_nothing,
                a_token_belongs_to_its_query_but_not_to_its_size,
                a_token_that_was_tampered_with_is_refused,
                sizes_have_a_default_a_maximum_and_no_negative,
                the_total_counts_all_pages_and_only_if_asked_for;
            filters:
                numbers_are_compared_by_value,
                texts_bytes_and_enums_are_compared_exactly,
                times_are_compared_by_moment,
                absent_values_match_nothing_but_inequality,
                or_binds_tighter_than_and,
                places_inside_structures_are_reached_by_name,
                what_breaks_out_of_a_text_elsewhere_is_a_text_here,
                what_is_no_filter_is_refused_with_its_place,
                orders_are_by_fields_that_can_be_ordered;
            plans:
                a_list_that_no_index_serves_is_refused_with_the_index_to_add,
                lists_that_an_index_serves_are_answered,
                an_entity_that_allows_scans_answers_any_list;
            races:
                no_update_is_lost_among_those_that_compare_etags,
                no_increment_is_lost,
                what_is_left_is_sold_once,
                two_commits_cannot_each_rely_on_what_the_other_changes,
                one_of_many_gets_a_key_or_a_unique_value,
                a_request_that_is_sent_many_times_at_once_is_done_once,
                a_request_whose_twin_was_quicker_has_its_answer,
                one_of_many_requests_with_different_content_gets_an_id,
                a_row_is_not_named_after_it_was_deleted,
                a_transfer_is_never_seen_half_done,
                whoever_was_told_of_a_write_finds_it,
                counted_keys_are_given_once;
            isolation:
                what_was_read_and_is_checked_by_etag_is_part_of_a_serializable_commit,
                what_a_serializable_commit_saw_to_be_absent_is_absent_until_it_ends,
                a_serializable_commit_is_repeated_and_validated_like_any_other,
                an_isolation_that_nobody_declared_is_refused;
        }
    };
}

/// Declares every test of the engine, run on the [`Lab`](crate::conformance::Lab) that `$start` makes.
#[macro_export]
macro_rules! engine_conformance {
    ($start:path $(, $attribute:meta)*) => {
        $crate::conformance_tests! { $start, ($($attribute)*),
            loads:
                loaded_rows_are_rows_like_any_other,
                a_file_may_set_what_the_store_keeps,
                every_way_of_counting_keys_counts_in_loads_too,
                rows_that_break_a_rule_are_left_out_and_named,
                rows_with_an_empty_key_are_left_out_of_a_load_and_can_be_removed_where_they_are,
                rows_that_exist_fail_the_load_are_skipped_or_are_replaced,
                a_replaced_row_has_a_later_version_whatever_the_clock_says,
                references_of_loaded_rows_are_checked,
                a_row_that_names_a_rejected_one_of_its_batch_is_rejected_too,
                expired_rows_are_not_in_the_way_of_a_load,
                an_expired_row_that_is_held_fast_is_in_the_way_of_a_load,
                a_checkpoint_is_kept_with_its_rows,
                a_request_cannot_touch_the_checkpoint_of_a_load;
            time:
                a_row_ends_at_its_time_to_the_microsecond,
                a_sweep_removes_what_no_read_sees,
                a_request_is_remembered_for_a_day,
                times_are_the_commits_and_the_same_for_all_its_rows,
                versions_grow_although_the_clock_stands_or_is_set_back,
                the_version_of_a_deleted_row_is_not_given_to_its_successor,
                a_page_token_expires_after_three_days,
                a_commit_whose_deadline_passed_leaves_no_trace;
            sweeps:
                rows_that_refer_to_a_swept_row_go_with_it_or_let_go_of_it,
                a_row_that_is_held_fast_is_kept_out_of_sight_until_nothing_holds_it,
                a_row_is_kept_by_what_holds_the_rows_that_would_go_with_it,
                a_row_with_which_too_many_would_go_is_kept,
                a_sweep_walks_past_what_is_kept_and_ends,
                rows_of_one_sweep_may_go_with_each_other,
                a_row_that_was_swept_cannot_be_named;
            limits:
                pages_have_the_sizes_that_were_set,
                a_page_ends_early_when_its_rows_are_large,
                commits_have_the_size_that_was_set,
                a_delete_takes_no_more_with_it_than_was_set,
                requests_are_remembered_as_long_as_was_set,
                tokens_of_another_key_do_not_open,
                snowflakes_name_their_instance;
        }
    };
}

/// Declares every test of a log of changes and of watching, run on the [`Lab`](crate::conformance::Lab) that `$start` makes.
#[macro_export]
macro_rules! change_log_conformance {
    ($start:path $(, $attribute:meta)*) => {
        $crate::conformance_tests! { $start, ($($attribute)*),
            changes:
                rows_are_told_as_they_were_and_as_they_are_in_the_order_of_commits,
                what_is_told_of_a_row_is_what_a_read_shows,
                the_writes_of_a_commit_are_told_together,
                a_large_commit_is_whole_and_its_parts_say_that_more_follows,
                what_was_undone_or_only_tried_is_not_told,
                one_of_many_that_fails_is_not_told_and_all_others_are,
                rows_that_go_with_another_are_told_too,
                what_a_sweep_removes_is_told,
                of_a_load_either_every_row_is_told_or_that_its_table_changed,
                a_follower_goes_on_behind_any_place_without_a_gap_or_a_duplicate,
                a_follower_goes_on_where_it_was_said_to_be_current,
                a_place_of_another_log_is_refused,
                that_all_was_told_is_said_every_second_although_nothing_changes,
                nothing_is_told_before_it_can_be_read,
                several_followers_are_told_the_same,
                a_history_contains_what_was_seen_before_it_began_and_not_what_comes,
                whoever_follows_knows_the_history_by_the_same_number;
            watches:
                who_watches_is_told_of_every_change_from_then_on,
                a_snapshot_is_every_row_there_is_and_then_the_changes,
                a_copy_that_follows_a_snapshot_is_right_whatever_is_written_meanwhile,
                a_row_that_comes_to_match_is_told_and_one_that_stops_is_told_as_deleted,
                a_soft_deleted_row_counts_as_deleted_until_it_is_brought_back,
                a_row_that_expires_is_told_as_deleted_once_it_is_removed,
                rows_that_go_with_another_are_told_to_their_own_watchers,
                every_token_goes_on_exactly_behind_its_event,
                a_heartbeat_says_how_far_it_is_although_nothing_changes,
                a_token_is_good_for_its_own_watch_only,
                a_filter_that_is_none_is_refused,
                what_the_log_does_not_tell_ends_the_watch,
                a_slow_watcher_misses_nothing_and_comes_up_with_the_others,
                a_watcher_that_does_not_come_up_is_ended_with_the_token_to_go_on_with,
                watchers_are_limited_and_their_places_are_given_back,
                all_watchers_share_one_follower,
                watches_that_are_ended_say_so_and_none_begins_anew;
        }
    };
}

/// `#[test]` functions from a list of names.
#[macro_export]
macro_rules! conformance_tests {
    ($start:path, $attributes:tt, $($theme:ident: $($name:ident),+;)+) => { $(
        mod $theme { $(
            $crate::conformance_test! { $start, $attributes, $theme, $name }
        )+ }
    )+ };
}

/// One of them.
#[macro_export]
macro_rules! conformance_test {
    ($start:path, ($($attribute:meta)*), $theme:ident, $name:ident) => {
        #[test]
        $(#[$attribute])*
        fn $name() {
            $crate::conformance::$theme::$name(&$start());
        }
    };
}

#[cfg(test)]
mod tests {
    /// A test that nobody runs is not one.
    #[test]
    fn every_test_is_in_the_list() {
        let list = include_str!("list.rs");
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
        for file in std::fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let declared = text.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split_once('('));
            let tests = declared.filter(|(_, rest)| *rest == "store: &Subject) {" || *rest == "lab: &Lab) {");
            for (name, _) in tests {
                let named = list.contains(&format!(" {name},")) || list.contains(&format!(" {name};"));
                assert!(named, "{name} of {} is not in the list", path.display());
            }
        }
    }
}
