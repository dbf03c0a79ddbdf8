from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from crosswire.lib import env

NAME = "CROSSWIRE_TEST_VALUE"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- secrets ----------------------------------------------------------------------------------------------------


def test_a_secret_comes_from_the_variable_or_else_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.secret(NAME) == ""
    assert env.secret(NAME, "d") == "d"
    monkeypatch.setenv(NAME, "from the variable")
    assert env.secret(NAME, "d") == "from the variable"


def test_a_secret_comes_from_the_file_before_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n", encoding="utf-8")
    monkeypatch.setenv(NAME, "from the variable")
    monkeypatch.setenv(f"{NAME}_FILE", str(file))
    assert env.secret(NAME) == "from the file"


def test_a_file_that_cannot_be_read_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(NAME, "no way back")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "absent"))
    with pytest.raises(ImproperlyConfigured, match=rf"{NAME}_FILE=.*absent.*No such file"):
        env.secret(NAME)


def test_a_generated_secret_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "new" / "secret"
    made = env.generated_secret(file)
    assert len(made) >= 50
    assert env.generated_secret(file) == made
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700
    assert env.generated_secret(tmp_path / "other") != made


def test_an_empty_secret_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(" \n", encoding="utf-8")
    made = env.generated_secret(file)
    assert len(made) >= 50
    assert mode(file) == 0o600


# --- private files ----------------------------------------------------------------------------------------------


def test_a_private_file_is_replaced_whole_and_leaves_no_draft(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "key"
    env.write_private(file, "first, the longer one")
    file.chmod(0o644)
    env.write_private(file, "second")
    assert file.read_text(encoding="utf-8") == "second"
    assert mode(file) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["key"]


def test_a_reader_never_sees_half_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    texts = {letter * 100_000 for letter in "ab"}
    env.write_private(file, "a" * 100_000)
    done = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(file.read_text(encoding="utf-8"))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        for text in sorted(texts):
            env.write_private(file, text)
    done.set()
    reader.join(30)
    assert seen
    assert seen <= texts


# --- addresses and ports ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("http://localhost:8000", "http://localhost:8000"),
        ("https://bus.example.com/", "https://bus.example.com"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("HTTPS://Bus.Example.COM", "https://bus.example.com"),
    ],
)
def test_an_address_has_one_form(monkeypatch: pytest.MonkeyPatch, value: str, url: str) -> None:
    monkeypatch.setenv(NAME, value)
    assert env.public_url(NAME, "http://other") == url


@pytest.mark.parametrize(
    "value",
    [
        "/",
        "bus.example.com",
        "ftp://bus.example.com",
        "https://",
        "https://a/b",
        "https://a?x=1",
        "https://a#b",
        "https://user:secret@a",
        "https:///a",
        "//a",
    ],
)
def test_what_is_no_address_stops_the_start_and_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(ImproperlyConfigured, match=f"{NAME}=.*https://bus.example.com"):
        env.public_url(NAME, "http://other")


@pytest.mark.parametrize(("value", "port"), [("1", 1), ("8000", 8000), ("65535", 65535), ("08000", 8000)])
def test_a_port_is_a_number(monkeypatch: pytest.MonkeyPatch, value: str, port: int) -> None:
    assert env.port(NAME, 8000) == 8000
    monkeypatch.setenv(NAME, value)
    assert env.port(NAME, 1) == port


@pytest.mark.parametrize("value", ["0", "65536", "-1", "80.5", "http", " 80", "²"])
def test_what_is_no_port_stops_the_start_and_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(ImproperlyConfigured, match=f"{NAME}='{value}' is no port"):
        env.port(NAME, 8000)


# --- other values -----------------------------------------------------------------------------------------------


def test_an_empty_value_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "")
    assert env.text(NAME, "d") == env.secret(NAME, "d") == "d"
    assert (env.number(NAME, 8), env.port(NAME, 80), env.one_of(NAME, "A", "B")) == (8, 80, "A")
    assert env.switch(NAME, default=True)
    assert env.public_url(NAME, "http://a") == "http://a"


@pytest.mark.parametrize(
    ("value", "is_on"), [("true", True), ("Yes", True), ("1", True), ("ON", True), ("false", False), ("0", False)]
)
def test_a_switch_is_on_or_off(monkeypatch: pytest.MonkeyPatch, value: str, *, is_on: bool) -> None:
    monkeypatch.setenv(NAME, value)
    assert env.switch(NAME, default=not is_on) is is_on


def test_a_word_is_one_of_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "debug")
    assert env.one_of(NAME, "INFO", "DEBUG") == "DEBUG"


def test_a_number_has_a_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "3")
    assert env.number(NAME, 8, least=3) == 3
    with pytest.raises(ImproperlyConfigured, match="from 4 up"):
        env.number(NAME, 8, least=4)


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "²", "1e3"])
def test_what_is_no_number_switch_or_word_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(NAME, value)
    for read in (lambda: env.number(NAME, 8), lambda: env.switch(NAME, default=True), lambda: env.one_of(NAME, "A")):
        with pytest.raises(ImproperlyConfigured, match=f"^{NAME}="):
            read()


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_a_host_that_is_this_machine(host: str) -> None:
    assert env.is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "example.com", "localhost.example.com", "notlocalhost", "10.0.0.1", "0.0.0.0", "::", "127.0.0.1.nip.io"],  # noqa: S104 - nothing is bound
)
def test_a_host_that_may_be_another_machine(host: str) -> None:
    assert not env.is_loopback(host)
