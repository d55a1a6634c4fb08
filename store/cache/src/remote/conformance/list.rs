//! The names of all tests.

/// Declares every test of a cache server, run on the [`Stage`](crate::remote::conformance::Stage) that `$start` makes.
#[macro_export]
macro_rules! remote_conformance {
    ($start:path $(, $attribute:meta)*) => {
        $crate::remote_tests! { $start, ($($attribute)*),
            horizons:
                a_shard_that_nobody_has_begun_answers_nothing,
                who_begins_makes_the_shard_and_others_find_it,
                a_shard_that_was_told_too_little_is_left_alone_or_made_anew,
                a_shard_of_another_history_is_left_alone_or_made_anew,
                of_a_shard_that_is_made_anew_nothing_is_left,
                a_place_of_many_sources_is_contained_if_each_of_them_is,
                numbers_are_compared_to_the_last_digit,
                shards_are_of_their_own;
            tellings:
                who_tells_first_drops_the_slots_and_who_comes_later_finds_it_done,
                a_telling_ends_the_leases_of_its_slots,
                a_telling_without_slots_is_one_too,
                commits_may_be_told_in_batches_that_overlap,
                who_joined_another_incarnation_is_told_so,
                a_shard_that_has_forgotten_says_so,
                a_telling_of_very_many_slots_is_one,
                sources_are_told_apart,
                an_entity_that_was_rewritten_loses_all_its_slots,
                thousands_of_slots_are_dropped_with_one_telling,
                a_commit_that_counts_below_others_is_told;
            slots:
                what_was_brought_is_found_by_everybody,
                one_of_all_who_want_a_lease_has_it,
                a_lease_is_for_its_own_slot,
                tokens_differ_by_a_single_bit,
                what_is_brought_for_another_shard_or_generation_is_refused,
                a_slot_that_is_emptied_has_neither_entry_nor_lease,
                a_lease_runs_out,
                an_entry_runs_out,
                a_moment_is_enough_for_a_lease_that_nobody_uses,
                a_shard_that_was_told_of_other_rows_keeps_its_leases,
                values_are_any_bytes;
            names:
                each_name_is_a_slot_of_its_own,
                each_name_can_be_told,
                entries_come_in_the_order_asked,
                many_slots_are_asked_for_at_once;
            races:
                of_many_who_want_a_lease_at_once_one_has_it,
                of_many_who_begin_at_once_one_makes_the_shard,
                what_was_told_is_never_shown_as_it_was_before;
            model:
                random_steps_are_answered_as_by_the_server_in_memory;
        }
    };
}

/// `#[test]` functions from a list of names.
#[macro_export]
macro_rules! remote_tests {
    ($start:path, $attributes:tt, $($theme:ident: $($name:ident),+;)+) => { $(
        mod $theme { $(
            $crate::remote_test! { $start, $attributes, $theme, $name }
        )+ }
    )+ };
}

/// One of them.
#[macro_export]
macro_rules! remote_test {
    ($start:path, ($($attribute:meta)*), $theme:ident, $name:ident) => {
        #[test]
        $(#[$attribute])*
        fn $name() {
            $crate::remote::conformance::$theme::$name(&$start());
        }
    };
}

#[cfg(test)]
mod tests {
    /// A test that nobody runs is not one.
    #[test]
    fn every_test_is_in_the_list() {
        let list = include_str!("list.rs");
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/remote/conformance");
        for file in std::fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let declared = text.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split_once('('));
            for (name, _) in declared.filter(|(_, rest)| *rest == "stage: &Stage) {") {
                let named = list.contains(&format!(" {name},")) || list.contains(&format!(" {name};"));
                assert!(named, "{name} of {} is not in the list", path.display());
            }
        }
    }
}
