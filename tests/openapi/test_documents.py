"""The OpenAPI documents: legal, whole, and within what a Custom GPT takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from openapi_spec_validator import validate

from bus.operations import EVENTS, OPERATIONS, Operation
from bus.params import Params
from bus.rest import lane, openapi, plainer
from crosswire.lib.errors import CODES
from tests.support import loopback
from tests.support.cast import Caller

type Json = dict[str, Any]

FULL = "/docs/api/openapi.json"
FOR_ACTIONS = "/openapi.json"
BOTH = [FULL, FOR_ACTIONS]
CROSS_CLAUDE = {
    *("register", "listInstances", "createChannel", "listChannels", "findChannel", "sendMessage", "getMessages"),
    *("getReplies", "searchMessages", "shareData", "listSharedData", "getSharedData"),
}
OURS = {
    *("unregister", "getReceipts", "claimMessage", "inbox", "ackInbox", "deleteSharedData", "whoami", "usage"),
    *("subscribe", "unsubscribe"),
}
ELSEWHERE = {"method_not_allowed", "forbidden", "payment_declined"}
"""Codes of no documented call: of a method that a path does not take, and of people's pages."""


@pytest.fixture(params=BOTH)
def document(request: pytest.FixtureRequest, lane_url: str) -> Json:
    return fetched(lane_url, request.param)


def fetched(url: str, path: str) -> Json:
    answer = loopback.get(url + path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    found: Json = answer.json()
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def arguments(operation: Json) -> Iterator[tuple[str, Json]]:
    for each in operation.get("parameters", []):
        yield each["name"], each
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    yield from body.get("properties", {}).items()


def nodes(value: Any) -> Iterator[Json]:
    """Walk over every object of a document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from nodes(each)


def rows(document: Json) -> dict[tuple[str, str], Operation]:
    """Return the rows of the table that a document tells of, by method and path; a stream is nothing for a GPT."""
    is_full = "externalDocs" in document
    known = [*OPERATIONS.values(), *([EVENTS] if is_full else [])]
    return {(each.http.method, lane.PREFIX + each.http.path): each for each in known if each.http is not None}


def test_a_document_is_legal_openapi(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_every_rest_call_of_the_table_is_in_a_document_and_nothing_else(document: Json) -> None:
    shown = {(method, path) for method, path, _ in operations(document)}
    assert shown == set(rows(document))


def test_operation_ids_are_those_that_clients_know(document: Json) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert set(names) >= CROSS_CLAUDE
    assert set(names) >= OURS


def test_every_argument_of_an_operation_is_in_a_document(document: Json) -> None:
    for method, path, operation in operations(document):
        row = rows(document)[method, path]
        assert row.http is not None
        model: type[Params] = row.http.params or row.params
        known = {row.http.aliases.get(name, name) for name, _ in arguments(operation)}
        assert known == set(model.model_fields), row.name


def test_the_server_is_named_by_its_whole_public_address(document: Json) -> None:
    assert document["servers"] == [{"url": settings.PUBLIC_URL}]
    assert re.match(r"https?://\w", settings.PUBLIC_URL)


def test_bodies_are_json_alone(document: Json) -> None:
    for method, path, operation in operations(document):
        assert ("requestBody" in operation) == (method == "POST"), path
        in_path = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", path)
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        stream = {openapi.STREAM} if path == "/api/events" else set()
        assert {kind for each in contents for kind in each.get("content", {})} == {"application/json"} | stream, path


def test_what_is_for_a_gpt_keeps_to_its_limits(lane_url: str) -> None:
    document = fetched(lane_url, FOR_ACTIONS)
    listed = list(operations(document))
    assert len(listed) <= plainer.OPERATIONS_MOST
    for _, path, operation in listed:
        for text in ("summary", "description"):
            assert 0 < len(operation[text]) <= plainer.TEXT_MOST, (path, text)
        for name, argument in arguments(operation):
            assert len(argument.get("description", "")) <= plainer.PARAMETER_TEXT_MOST, (path, name)
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert document["security"] == [{"bearer": []}]


def test_a_gpt_asks_its_person_before_what_destroys_and_only_then(document: Json) -> None:
    asked = {each["operationId"] for _, _, each in operations(document) if each["x-openai-isConsequential"]}
    assert asked == {"shareData", "deleteSharedData"}


def test_what_is_for_a_gpt_is_plain(lane_url: str) -> None:
    """Its importer wants properties of every object and items of every array, and one type of each argument."""
    document = fetched(lane_url, FOR_ACTIONS)
    for node in nodes(document):
        if node.get("type") == "object":
            assert "properties" in node, node
        if node.get("type") == "array":
            assert "items" in node, node
        assert not isinstance(node.get("type"), list), node
        assert "links" not in node


def test_what_may_be_too_long_for_a_gpt_says_how_to_ask_for_less(lane_url: str) -> None:
    texts = {each["operationId"]: each["description"] for _, _, each in operations(fetched(lane_url, FOR_ACTIONS))}
    assert "next_offset" in texts["getSharedData"]
    for operation in ("getSharedData", "listChannels"):
        assert f"{plainer.ANSWER_MOST:,}" in texts[operation]
    for operation in ("listChannels", "listInstances", "listSharedData"):
        assert "has_more" in texts[operation]


def test_every_code_is_documented_somewhere_and_every_documented_one_exists(document: Json) -> None:
    assert document["components"]["schemas"]["Error"]["properties"]["code"]["enum"] == list(CODES)
    told: dict[str, set[str]] = {}
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            for code in re.findall(r"`(\w+)`", response["description"]):
                told.setdefault(code, set()).add(status)
    assert {code: {str(status)} for code, status in CODES.items() if code not in ELSEWHERE} == told


def test_every_refusal_is_the_one_shape_and_says_when_to_come_back(lane_url: str) -> None:
    for _, path, operation in operations(fetched(lane_url, FULL)):
        assert {"200", "400", "401", "403", "406", "429", "500", "503"} <= set(operation["responses"]), path
        for status, response in operation["responses"].items():
            if status != "200":
                schema = response["content"]["application/json"]["schema"]
                assert schema["$ref"] == "#/components/schemas/Error"
                assert {CODES[code] for code in schema["properties"]["code"]["enum"]} == {int(status)}
            assert ("Retry-After" in response.get("headers", {})) == (status in {"429", "503"})
            assert ("WWW-Authenticate" in response.get("headers", {})) == (status == "401")


def test_every_way_to_send_a_key_is_documented_and_works(lane_url: str, alice: Caller) -> None:
    schemes = fetched(lane_url, FULL)["components"]["securitySchemes"]
    assert len(schemes) == 4
    for scheme in schemes.values():
        if scheme["type"] == "http":
            sent: Json = {"headers": {"Authorization": f"{scheme['scheme'].title()} {alice.key}"}}
        else:
            sent = {"headers" if scheme["in"] == "header" else "params": {scheme["name"]: alice.key}}
        assert loopback.get(f"{lane_url}/api/whoami", **sent).status_code == 200, scheme


def test_a_link_leads_to_arguments_that_are_there_from_fields_that_are_there(lane_url: str) -> None:
    document = fetched(lane_url, FULL)
    by_id = {each["operationId"]: each for _, _, each in operations(document)}
    links = [
        (operation, link)
        for operation in by_id.values()
        for link in operation["responses"]["200"].get("links", {}).values()
    ]
    assert len(links) >= 5
    for operation, link in links:
        name = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for argument, source in link["parameters"].items():
            assert argument in dict(arguments(by_id[link["operationId"]]))
            assert source.removeprefix("$response.body#/") in document["components"]["schemas"][name]["required"]


@pytest.mark.parametrize("made", [openapi.full, openapi.for_actions])
def test_what_is_documented_names_the_server_it_is_served_by(made: Callable[[], Json]) -> None:
    assert all(url["url"] == settings.PUBLIC_URL for url in made()["servers"])


# --- how they are served -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BOTH)
def test_a_document_is_fetched_again_only_when_it_changed(lane_url: str, path: str) -> None:
    first = loopback.get(lane_url + path)
    assert "max-age" in first.headers["cache-control"]
    again = loopback.get(lane_url + path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = loopback.head(lane_url + path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == first.headers["etag"]
    assert int(head.headers["content-length"]) == len(first.content)


@pytest.mark.parametrize("path", BOTH)
def test_pages_of_any_origin_may_read_a_document(lane_url: str, path: str) -> None:
    answer = loopback.get(lane_url + path, headers={"Origin": "https://editor.example"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


@pytest.mark.parametrize("path", BOTH)
def test_a_document_is_only_read(lane_url: str, path: str) -> None:
    answer = loopback.post(lane_url + path)
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
