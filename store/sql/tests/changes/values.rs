//! Values of every kind are told as reads answer them: a part of the conformance suite with a copy of all rows that is made
//! of the log. (All of it runs in `mirror_mariadb` and `mirror_mysql`, which take minutes.)

use rowkeep_engine::conformance::{Subject, deletes, structures, types, writes};
use testkit::Product;

use crate::support::mirror;

testkit::on_both_products! {
    numbers_and_texts
    times_dates_and_decimals
    messages_lists_and_maps
    rows_that_change_and_go
}

/// Each on an empty store, whose copy is compared when it is over.
fn each(product: Product, tests: &[fn(&Subject)]) {
    for test in tests {
        let (store, held) = mirror::store(product);
        test(&Subject::over(store, held));
    }
}

fn numbers_and_texts(product: Product) {
    each(
        product,
        &[
            types::numbers_of_32_bits,
            types::numbers_of_64_bits,
            types::floating_point_numbers,
            types::there_is_one_zero,
            types::texts_of_any_characters,
            types::bytes_of_any_value,
            types::enums_with_numbers_nobody_declared,
        ],
    );
}

fn times_dates_and_decimals(product: Product) {
    each(
        product,
        &[
            types::times_from_the_first_to_the_last,
            types::durations_of_both_signs,
            types::dates_with_and_without_all_their_parts,
            types::decimals_to_their_last_digit,
            types::decimals_in_any_spelling_are_kept_exactly_or_refused,
        ],
    );
}

fn messages_lists_and_maps(product: Product) {
    each(
        product,
        &[
            structures::optional_fields_at_the_ends_of_their_range,
            structures::wrappers_distinguish_absent_from_zero,
            structures::nested_messages_keep_every_field,
            structures::lists_and_maps_keep_order_duplicates_and_odd_keys,
            structures::json_values_of_any_shape,
            structures::a_null_json_value_is_a_value,
            structures::one_member_of_a_oneof_is_set,
            structures::every_field_can_be_cleared_and_set_again,
        ],
    );
}

fn rows_that_change_and_go(product: Product) {
    each(
        product,
        &[
            writes::an_update_moves_etag_and_update_time_and_keeps_the_create_time,
            writes::a_deleted_row_is_gone_and_its_key_is_free,
            deletes::a_deleted_row_is_answered_with_its_time_and_hidden_from_lists_and_lookups,
            deletes::an_undeleted_row_is_as_it_was_but_for_its_version,
            deletes::rows_are_hidden_without_a_column_that_shows_it,
        ],
    );
}
