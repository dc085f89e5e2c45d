//! What a [`Store`](agentsight_store::Store) does, said once for every engine.
//!
//! A sentence is a function that is given a world of its own; its room says what it is about. The
//! list below is the table of contents: whoever writes a sentence and does not list it hears of dead
//! code.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod agents;
mod feedbacks;
mod files;
mod history;
mod lasting;
mod lists;
mod managing;
mod metadata;
mod nodes;
mod orphans;
mod prices;
mod search;
mod spans;
mod tracking;
mod usage;
mod world;

#[expect(dead_code, reason = "other suites read more of a schema")]
#[path = "../postgres/schema.rs"]
mod schema;

#[expect(dead_code, reason = "the suite of buckets makes more faults")]
#[path = "../s3/server.rs"]
mod s3;

/// Runs the whole suite once per engine.
macro_rules! conformance {
    ($($engine:ident: $world:ident),* $(,)?) => {$(
        mod $engine {
            sentences! { $world
                tracking: a_new_conversation_keeps_every_given_field, a_later_call_fills_what_is_empty_and_nothing_else,
                    an_environment_is_chosen_once_and_must_exist, used_is_never_taken_back,
                    metadata_is_filled_where_it_is_an_empty_object,
                    a_conversation_in_the_trash_stays_there_and_keeps_recording, first_calls_at_once_make_one_conversation, events_that_come_at_once_each_go_where_they_belong,
                    an_event_that_is_refused_beside_others_makes_no_conversation,
                    an_event_for_a_new_name_makes_a_used_production_conversation,
                    every_kind_of_event_makes_its_conversation_used, the_integer_wins_over_the_name,
                    an_unknown_integer_leads_to_the_name_or_nowhere, times_move_outward_only,
                    a_message_is_answered_as_it_is_fetched, an_action_leaves_a_log_on_a_message_of_its_own,
                    an_action_is_defined_once_by_its_exact_name, a_click_leaves_a_button_on_a_message_of_its_own,
                    a_transcript_goes_by_time_and_then_by_arrival, a_large_conversation_is_fetched_whole,
                    a_resent_event_is_stored_once_and_answered_alike, after_ten_minutes_the_same_body_is_a_new_event,
                    resends_at_once_are_stored_once, bodies_that_differ_or_have_no_identity_are_no_resends,
                    token_usage_is_an_action_like_any_other_in_a_list;
                managing: a_mark_is_set_and_taken_off, a_rename_changes_the_title_alone,
                    an_update_changes_what_it_holds_and_null_clears, a_cleared_field_is_filled_again,
                    the_trash_hides_from_lists_and_lookup_and_nowhere_else, what_is_deleted_cannot_be_deleted_again,
                    feedback_is_a_new_row_each_time_oldest_first, feedback_makes_no_conversation_and_reaches_the_trash;
                feedbacks: first_votes_at_once_are_one_vote,
                    counts_stay_exact_however_feedback_and_tickets_come_and_go,
                    a_thread_goes_with_its_ticket_and_no_other, another_agents_opinions_and_tickets_are_not_there;
                usage: posted_tokens_stand_on_the_conversation, only_what_came_on_top_is_booked,
                    two_processes_are_told_apart, the_largest_process_that_fits_is_continued,
                    a_process_that_was_silent_for_a_day_is_forgotten, agents_count_apart,
                    an_agent_may_have_counters_booked_as_posted, no_counts_and_no_difference_book_nothing,
                    a_total_alone_is_booked, a_resent_counter_is_booked_once;
                prices: a_call_is_priced_when_it_is_booked,
                    a_model_without_a_price_costs_what_its_sender_says_or_nobody_knows_what,
                    counters_that_name_their_model_are_priced, the_price_is_the_one_that_held_when_the_turn_began,
                    a_turn_that_comes_late_has_its_calls_priced_anew,
                    a_change_of_prices_restates_history_of_every_agent,
                    restating_goes_on_where_it_was_when_the_store_was_closed,
                    usage_of_an_adopted_conversation_is_restated_though_history_has_gone_by,
                    nothing_is_lost_or_priced_by_an_old_book_while_prices_change,
                    another_node_prices_with_the_book_as_it_is, defaults_are_renewed_and_leave_what_an_operator_did,
                    a_price_list_is_imported_once;
                spans: an_exchange_becomes_a_transcript, a_batch_that_comes_again_changes_nothing, children_wait_for_their_turn,
                    a_turn_that_broke_off_shows_nothing_and_is_counted, a_visit_is_no_use_and_fields_are_replaced,
                    a_bad_block_keeps_the_whole_batch_out, usage_adds_up_by_turn_and_model, a_span_comes_back_as_it_came,
                    a_trace_is_a_tree_even_of_circles_and_long_chains,
                    spans_go_to_the_trash_with_their_conversation_and_keep_coming,
                    any_order_of_any_parts_leads_to_one_state;
                lists: every_filter_keeps_what_matches_and_drops_the_rest, all_given_filters_must_hold, a_renamed_action_is_found_by_what_it_is_and_by_what_messages_show,
                    an_environment_that_the_agent_lacks_is_refused, every_ordering_ends_with_the_id,
                    pages_cut_the_list_without_gaps, counts_stay_exact_with_the_trash,
                    full_rows_are_whole_conversations_without_tickets_and_usage,
                    an_empty_agent_has_an_empty_first_page;
                metadata: a_value_is_found_typed_or_as_text, a_dot_path_leads_into_objects_after_the_literal_key,
                    a_replaced_document_is_found_by_its_new_values_alone, long_values_and_odd_keys_are_told_apart,
                    keys_and_values_are_listed_from_what_is_not_in_the_trash,
                    at_most_two_hundred_keys_and_values_are_listed;
                search: a_text_is_found_before_and_after_it_is_indexed_and_without_an_index,
                    a_message_is_found_by_the_next_request, every_ending_of_a_text_is_found,
                    another_agents_texts_are_never_found, a_renamed_conversation_is_found_by_its_new_name_alone,
                    a_filled_name_is_found, each_word_may_stand_in_another_place,
                    texts_in_the_trash_are_found_where_the_trash_is_asked_for;
                agents: a_minted_key_speaks_for_its_agent, a_revoked_key_stays_revoked, a_key_belongs_to_one_agent_for_good,
                    a_bootstrap_key_is_taken_by_an_empty_store_alone, an_agent_begins_with_two_environments,
                    names_of_agents_and_environments_are_checked, environments_of_all_agents_are_listed,
                    another_agents_rows_are_not_there;
                nodes: nodes_that_make_the_same_conversation_make_one, nodes_that_hear_the_same_request_store_it_once,
                    nodes_that_write_to_one_conversation_lose_no_count, nodes_that_meet_the_same_agent_make_one,
                    what_one_node_hears_is_found_at_the_other, nodes_that_vote_on_one_message_leave_one_vote,
                    nodes_that_vote_and_take_back_lose_no_count, nodes_that_file_tickets_of_one_feedback_file_one,
                    nodes_that_define_one_action_define_it_once;
                lasting: reopening_keeps_everything, ids_are_never_used_again, a_closed_store_refuses_writes,
                    closing_finishes_the_writes_that_wait, writes_that_fail_do_not_harm_their_neighbours,
                    a_short_queue_makes_writers_wait_and_loses_nothing, a_read_past_its_time_is_too_slow;
            }

            sentences_about_files! { $world }

            #[test]
            fn any_history_ends_as_the_contract_says() {
                crate::history::any_history_ends_as_the_contract_says(crate::world::$world);
            }
        }
    )*};
}

/// What is also true where attachments are in a bucket.
macro_rules! sentences_about_files {
    ($world:ident) => {
        sentences! { $world
            files: files_alone_leave_a_message_that_shows_them, files_for_a_message_leave_its_time_and_metadata_alone,
                a_message_of_another_conversation_is_not_found, resent_files_are_stored_once,
                bytes_come_back_and_equal_ones_are_kept_once, a_part_of_a_file_comes_alone,
                a_large_file_goes_through_in_pieces, files_of_a_conversation_are_grouped_in_transcript_order;
            orphans: what_nothing_names_is_removed_and_the_rest_stays, a_dry_run_changes_nothing, young_orphans_stay,
                a_file_that_is_set_aside_is_still_read_and_is_put_back_when_it_is_named,
                a_file_that_is_uploaded_again_while_it_is_set_aside_stays, what_an_earlier_run_left_aside_is_dealt_with,
                a_missing_file_is_told;
        }
    };
}

macro_rules! sentences {
    ($world:ident $($room:ident: $($sentence:ident),*;)*) => {$(
        mod $room {$(
            #[tokio::test]
            async fn $sentence() {
                if let Some(world) = crate::world::$world() {
                    crate::$room::$sentence(world).await;
                }
            }
        )*}
    )*};
}

conformance!(sqlite: temp_sqlite, postgres: temp_postgres);

mod bucket {
    sentences_about_files! { temp_bucket }
}
