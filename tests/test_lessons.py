"""Faults that systems of this kind have shipped, and the tests that show them not to be here."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.support.homes import ROOT

CURSORS = "bus/test_check_messages_cursors.py"
BATCHES = "bus/test_send_batches.py"

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
    11: (
        "MCP sessions live in one process's memory and can be stolen or lost",
        [
            "mcp/test_eras.py::test_a_made_up_session_gives_nothing_and_takes_nothing",
            "mcp/test_eras.py::test_one_server_begins_and_another_goes_on",
            "mcp/test_story.py::test_three_agents_release_together_though_the_server_is_killed",
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
        ],
    ),
    18: (
        "Channels made by a send slip past the limit",
        [
            "bus/test_send_message_limits.py::test_sending_into_a_new_channel_obeys_the_channel_limit",
            "bus/test_create_channel.py::test_a_message_to_a_new_channel_does_not_slip_past_the_limit",
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
    33: (
        "Global ids tell one customer another's volume",
        ["bus/test_send_message.py::test_ids_are_dense_from_one_in_each_workspace_whatever_is_refused"],
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
