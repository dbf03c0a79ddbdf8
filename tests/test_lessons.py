"""Faults that systems of this kind have shipped, and the tests that show them not to be here."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.support.homes import ROOT

CURSORS = "bus/test_check_messages_cursors.py"
BATCHES = "bus/test_send_batches.py"
HANG_UP = "bus/test_wait_hang_up.py"
PRUNED = "bus/test_prune_killed.py"
PROCESSES = "concurrency/test_across_processes.py"

LESSONS: dict[int, tuple[str, list[str]]] = {
    1: (
        "The sender is taken from the request body: any key speaks as anybody",
        [
            "bus/test_send_message.py::test_an_instance_key_stamps_the_sender",
            "bus/test_send_message.py::test_nobody_speaks_for_an_instance_that_is_not_theirs",
        ],
    ),
    2: (
        "`register` over REST overwrites a live instance",
        [
            "bus/test_register.py::test_no_other_credential_may_register_a_bound_instance",
            "bus/test_register.py::test_another_client_cannot_take_the_name_of_one_that_waits",
        ],
    ),
    3: (
        "REST callers never send a heartbeat and show offline",
        ["bus/test_list_instances.py::test_every_call_that_names_an_instance_is_a_sign_of_life"],
    ),
    4: (
        "A channel name is normalised on write but not on read",
        [
            "bus/test_check_messages.py::test_the_channel_is_normalised_on_reading_as_on_writing",
            "bus/test_get_replies.py::test_the_channel_is_normalised_and_has_to_be_the_messages",
            "bus/test_wait_for_reply.py::test_the_name_of_the_channel_is_made_regular",
        ],
    ),
    5: (
        "Search is by LIKE, unranked and without filters; a hyphen or a quote in the query is a syntax error",
        [
            "bus/test_search_words.py::test_any_text_is_a_query_and_what_is_found_literally_is_there",
            "bus/test_search_words.py::test_the_best_match_comes_first",
            "bus/test_search_words.py::test_times_narrow_and_both_ends_belong_to_it",
            "bus/test_search_index.py::test_words_are_looked_up_in_the_index_and_few_rows_are_read_beside_it",
            "bus/test_search_messages.py::test_no_text_is_syntax_that_can_fail",
            "bus/test_search_messages.py::test_signs_are_taken_as_they_are",
            "bus/test_search_messages.py::test_filters_narrow",
        ],
    ),
    6: (
        "`limit` has no ceiling, and reads after an id have none",
        [
            "bus/test_check_messages.py::test_the_limit_is_brought_into_its_range",
            "bus/test_check_messages.py::test_with_after_id_the_oldest_after_it_are_given",
            "bus/test_check_messages.py::test_an_answer_of_large_messages_is_cut_and_says_so",
        ],
    ),
    7: (
        "A read of the newest 20 moves the cursor past older unread ones",
        [
            f"{CURSORS}::test_reading_the_newest_leaves_older_unread_ones_unread_and_names_the_call_for_them",
            "bus/test_wait_for_reply.py::test_what_a_newest_read_skipped_ends_no_wait_and_stays_unread",
        ],
    ),
    8: (
        "A late commit with a lower id is skipped by readers",
        ["concurrency/test_ordering.py::test_no_follower_ever_skips_or_repeats_a_message"],
    ),
    9: (
        "Retention fails on a reply's foreign key, and everything after it never runs",
        [
            "bus/test_prune.py::test_replies_outlive_their_parents_whichever_go",
            "bus/test_prune_runs.py::test_one_workspace_that_fails_holds_up_no_other",
            "bus/test_prune_runs.py::test_one_kind_that_fails_holds_up_no_other_of_its_workspace",
            "bus/test_prune_runs.py::test_a_run_whose_time_is_over_is_gone_on_with_where_it_ended",
            f"{PRUNED}::test_a_worker_that_is_killed_while_it_prunes_loses_nothing_and_the_next_one_goes_on",
            "properties/test_pruning.py::test_what_is_visible_never_depends_on_pruning",
        ],
    ),
    10: (
        "Waiters and subscriptions live in one process's memory: a second worker breaks them, a redeploy empties them",
        [
            f"{PROCESSES}::test_a_message_at_one_server_wakes_who_waits_at_the_other",
            f"{PROCESSES}::test_who_waits_at_a_server_that_stops_goes_on_at_the_other",
            "mcp/test_tasks.py::test_any_process_answers_for_a_task_and_a_message_by_another_wakes_it",
            "mcp/test_tasks.py::test_a_task_outlives_the_process_that_made_it",
            "mcp/test_fanout.py::test_a_stream_hears_of_what_another_process_stored",
            "bus/test_subscribe.py::test_a_subscription_is_stored_once_however_often_it_is_asked_for",
        ],
    ),
    11: (
        "MCP sessions live in one process's memory and can be stolen or lost",
        [
            "mcp/test_eras.py::test_a_made_up_session_gives_nothing_and_takes_nothing",
            "mcp/test_eras.py::test_one_server_begins_and_another_goes_on",
            "mcp/test_story.py::test_three_agents_release_together_though_the_server_is_killed",
        ],
    ),
    12: (
        "An invite is used twice in a race, or by somebody else",  # the rest of this lesson is about OAuth
        [
            "accounts/test_invites.py::test_an_invite_is_used_once_however_many_use_it_at_once",
            "accounts/test_invites.py::test_an_invite_serves_nobody_but_who_has_its_address",
            "accounts/test_invites.py::test_an_invite_that_is_answered_while_it_ends_does_one_thing",
        ],
    ),
    13: (
        "The key in the query string lands in the access log",
        ["mcp/test_lifecycle.py::test_a_key_in_the_address_is_in_no_log"],
    ),
    14: (
        "Refusals come back as ordinary text, so the model reads them as content",
        [
            "mcp/test_refusals.py::test_a_refusal_is_an_error_with_a_sentence_and_no_structured_content",
            "clients/test_typescript.py::test_the_sentence_of_a_refusal_reaches_it",
        ],
    ),
    15: (
        "A reply may answer a message of another channel or workspace",
        ["bus/test_send_message.py::test_a_reply_to_a_message_of_another_channel_or_workspace_is_refused"],
    ),
    16: (
        "The sender's name forges lines of the text a model reads",
        [
            "mcp/test_fence.py::test_what_heads_a_line_is_one_line",
            "mcp/test_fence.py::test_a_name_cannot_end_its_quotes",
            "mcp/test_fence.py::test_a_message_can_neither_close_the_fence_nor_speak_outside_it",
        ],
    ),
    17: (
        "Quota is read and then written: parallel calls pass it, and an upgrade is not seen",
        [
            "concurrency/test_quota_edge.py::test_exactly_the_rest_of_the_months_quota_gets_through",
            "bus/test_send_message_limits.py::test_parallel_senders_at_the_edge_get_exactly_what_is_left",
            "bus/test_send_message_limits.py::test_a_plan_change_holds_from_the_next_call",
            "bus/test_plan_refusals.py::test_an_upgrade_is_seen_at_once_in_the_same_connection",
            "browser/test_billing.py::test_a_refused_agent_goes_on_in_the_same_connection_once_its_owner_has_paid",
        ],
    ),
    18: (
        "Channels made by a send slip past the limit",
        [
            "bus/test_send_message_limits.py::test_sending_into_a_new_channel_obeys_the_channel_limit",
            "bus/test_create_channel.py::test_a_message_to_a_new_channel_does_not_slip_past_the_limit",
        ],
    ),
    19: (
        "One failed invoice suspends for good; nothing ever re-activates",
        [
            "billing/test_failed_payment.py::test_one_failed_payment_suspends_nobody_for_good",
            "billing/test_failed_payment.py::test_a_payment_that_comes_after_the_grace_brings_the_plan_back_at_once",
            "billing/test_failed_payment.py::test_a_payment_that_stripe_told_nobody_of_is_seen_before_the_plan_is_taken",
        ],
    ),
    20: (
        "A webhook that failed is answered 200 and never retried; the same event is handled twice",
        [
            "billing/test_webhooks.py::test_a_failure_is_answered_500_and_the_event_comes_again",
            "billing/test_webhooks.py::test_an_event_that_was_handled_is_not_handled_again",
            "billing/test_webhooks.py::test_the_same_event_at_the_same_moment_is_stored_once_and_applied_once",
            "billing/test_storm.py::test_five_hundred_events_in_any_order_come_to_what_they_come_to_in_order",
        ],
    ),
    21: (
        "Deleting an account leaves its subscription running",
        [
            "billing/test_closing.py::test_deleting_an_account_ends_what_its_workspaces_pay",
            "billing/test_closing.py::test_stripe_being_away_at_that_moment_loses_nothing",
            "billing/test_closing.py::test_who_pays_on_a_page_that_was_open_gets_it_back",
        ],
    ),
    22: (
        "Keys are stored in clear, or shown whole",
        [
            "accounts/test_keys.py::test_the_key_itself_is_in_no_row_of_any_table",
            "accounts/test_keys.py::test_the_database_holds_a_digest_and_what_lists_may_show",
        ],
    ),
    23: (
        "GET or DELETE on /mcp is not checked like POST; a listener hears another workspace",
        [
            "mcp/test_doors.py::test_every_method_asks_for_the_key",
            "mcp/test_doors.py::test_a_revoked_key_is_told_so_by_every_method",
            "mcp/test_listen.py::test_another_workspace_is_never_heard",
            "mcp/test_inbox_resource.py::test_nobody_listens_to_the_inbox_of_somebody_else",
            "isolation/test_stranger_events.py::test_no_stream_tells_a_stranger_anything",
        ],
    ),
    24: (
        "`Sent` is said when nothing was stored, `delivered` when nothing was read",
        [
            "concurrency/test_kills.py::test_twenty_kills_lose_nothing_and_double_nothing",
            f"{BATCHES}::test_an_error_at_the_commit_is_answered_503_and_a_retry_with_the_key_stores_once",
            "mcp/test_texts.py::test_sent_is_all_that_is_said_of_a_message",
        ],
    ),
    25: (
        "A send fails because a push failed",
        [
            "lib/test_hub.py::test_a_listener_that_fails_hinders_nobody",
            "lib/test_hub.py::test_a_redis_that_is_frozen_is_noticed_and_holds_nobody_up",
            "concurrency/test_faults.py::test_redis_gone_and_back_is_never_seen_by_a_caller",
        ],
    ),
    26: (
        "Messages are marked read before the answer reached anyone",
        [
            "bus/test_cursors.py::test_handing_out_moves_nothing",
            "bus/test_nothing_is_silently_read.py::test_whatever_breaks_a_reader_gets_every_message_it_did_not_wave_away",
            "mcp/test_promise_nine.py::test_an_answer_lost_on_the_wire_comes_again_until_it_has_arrived",
            "mcp/test_promise_nine.py::test_a_wait_that_breaks_as_its_message_arrives_loses_nothing",
        ],
    ),
    27: (
        "Two waits of one instance tangle",
        [
            "bus/test_wait_ends.py::test_a_newer_wait_of_the_instance_on_the_channel_ends_the_older",
            "bus/test_wait_ends.py::test_of_waits_that_begin_together_one_stays",
            f"{PROCESSES}::test_a_wait_ends_by_what_is_done_at_the_other_server",
            "concurrency/test_waiting_inboxes.py::test_a_newer_one_ends_the_older_wherever_it_is",
            "bus/test_tasks.py::test_two_waits_at_once_make_one_task",
            "bus/test_tasks.py::test_a_wait_that_blocks_beside_a_task_leaves_it_alone",
        ],
    ),
    28: (
        "A parked worker bounces its coordinator out of a wait",
        ["bus/test_mutual_wait.py::test_a_listening_worker_does_not_bounce_its_coordinator"],
    ),
    29: (
        "The product's texts promise to wake an idle session where the client cannot",
        ["bus/test_subscribe.py::test_the_answer_says_what_this_client_will_hear_and_never_that_it_is_woken"],
    ),
    30: (
        "Each poll of an idle waiter is a query",
        [
            "bus/test_waiting_costs.py::test_the_beat_is_one_statement_for_all_waits_and_idle_waiters_run_none",
            "bus/test_waiting_costs.py::test_a_message_wakes_who_waits_there_and_nobody_else",
            "bus/test_tasks.py::test_asking_in_vain_costs_one_statement",
            "rest/test_events.py::test_a_quiet_stream_shows_that_it_is_there_and_asks_the_database_nothing",
        ],
    ),
    31: (
        "A wait longer than the client's own limit ends as an error, and the agent believes that it failed",
        [
            "bus/test_wait_ends.py::test_the_clients_ceiling_ends_it_with_a_normal_answer",
            "bus/test_wait_ends.py::test_each_client_waits_no_longer_than_it_survives",
            "bus/test_ceilings.py::test_a_wait_lasts_as_long_as_what_registered_survives",
            "bus/test_rest_wait.py::test_no_wait_outlives_what_clients_survive",
            "stdio/test_ceiling.py::test_an_unknown_client_waits_as_long_as_any_and_a_known_one_no_longer_than_it_survives",
        ],
    ),
    33: (
        "Global ids tell one customer another's volume",
        ["bus/test_send_message.py::test_ids_are_dense_from_one_in_each_workspace_whatever_is_refused"],
    ),
    34: (
        "Deleting by age takes shared data without a word",
        [
            "bus/test_share_data.py::test_shared_text_can_be_had_by_everybody_as_it_was",
            "bus/test_prune.py::test_shared_data_goes_by_name_and_gives_its_bytes_back",
            "bus/test_prune.py::test_shared_data_that_makes_room_is_recorded_too",
            "bus/test_pruned_pages.py::test_shared_data_that_expired_is_told_by_name",
        ],
    ),
    35: (
        "An error names another workspace's channel",
        [
            "isolation/test_stranger.py::test_no_operation_tells_a_stranger_anything",
            "bus/test_get_replies.py::test_a_strangers_message_looks_absent",
            "bus/test_create_channel.py::test_strangers_have_channels_of_their_own_and_see_no_likeness",
            "mcp/test_resources_prompts.py::test_a_strangers_resource_and_none_are_told_alike",
        ],
    ),
    36: (
        "A client aborts its call, the server's wait runs on and marks what arrives as read",
        [
            f"{HANG_UP}::test_the_official_older_clients_cancelled_call_counts_nothing_as_read",
            f"{HANG_UP}::test_a_message_that_meets_the_hanging_up_is_not_counted_as_read",
            f"{HANG_UP}::test_who_hangs_up_waits_no_longer_and_is_shown_nothing",
        ],
    ),
    37: (
        "All database work is on one thread, or each waiter has a thread and a connection",
        [
            "bus/test_waiting_costs.py::test_idle_waiters_hold_neither_threads_nor_connections",
            "bus/test_waiting_costs.py::test_a_wait_that_nothing_wakes_looks_once",
        ],
    ),
    38: (
        "A sync tool function keeps Daphne from ever exiting",
        [
            "mcp/test_lifecycle.py::test_a_process_answers_parallel_first_requests_and_stops_when_told",
            "mcp/test_lifecycle.py::test_who_waits_when_a_server_stops_is_told_to_reconnect",
        ],
    ),
    39: (
        "A session manager that starts lazily is found half-made by the first parallel requests",
        [
            "mcp/test_lifecycle.py::test_parallel_first_requests_find_a_cold_server_ready",
            "mcp/test_lifecycle.py::test_a_process_answers_parallel_first_requests_and_stops_when_told",
        ],
    ),
    41: (
        "`tasks/get` is answered for somebody else's task",
        [
            "mcp/test_tasks.py::test_an_unknown_task_and_somebody_elses_look_alike",
            "mcp/test_tasks.py::test_a_revoked_key_asks_for_nothing",
        ],
    ),
}


@cache
def names_in(file: str) -> frozenset[str]:
    """Return the names of the tests in a file below tests/."""
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


@pytest.mark.parametrize("number", LESSONS)
def test_each_lesson_has_its_tests(number: int) -> None:
    lesson, tests = LESSONS[number]
    assert tests, lesson
    for test in tests:
        file, _, name = test.partition("::")
        assert name in names_in(file), f"{number}, {lesson}: there is no {test}"
