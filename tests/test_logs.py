"""What a log line looks like, and what it never shows."""

import base64
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.runtime.logs import event, setup
from etl.runtime.redaction import Redaction
from etl.runtime.secret import Secret

KEY = 'CANARY/k"ey+7f3aé=='
PHONE = "+919876543210"
MAIL = "asha.rao@example.co.in"
log = logging.getLogger("etl.tests")


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def terminal(*secrets: str) -> Terminal:
    stream = Terminal()
    setup(logging.DEBUG, stream, [Secret(secret) for secret in secrets])
    return stream


def machine(*secrets: str) -> io.StringIO:
    stream = io.StringIO()
    setup(logging.DEBUG, stream, [Secret(secret) for secret in secrets])
    return stream


def test_a_person_reads_one_line_per_event() -> None:
    stream = terminal()
    event(log, "sync finished", source="ringg", rows=12, note="two words")
    assert stream.getvalue()[8:] == ' info    sync finished source=ringg rows=12 note="two words"\n'


def test_a_machine_reads_one_object_per_event() -> None:
    stream = machine()
    event(log, "sync finished", level=logging.WARNING, source="ringg", rows=12, late=True, why=None)
    line = json.loads(stream.getvalue())
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "warning", "logger": "etl.tests", "event": "sync finished",
        "source": "ringg", "rows": 12, "late": True, "why": None,
    }  # fmt: skip


def test_a_number_that_json_has_no_word_for_is_text() -> None:
    stream = machine()
    event(log, "rate_limited", seconds=float("inf"), share=float("nan"))
    line = json.loads(stream.getvalue(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (line["seconds"], line["share"]) == ("inf", "nan")


def test_a_field_cannot_pretend_to_be_the_line_itself() -> None:
    stream = machine()
    event(log, "sync finished", logger="else", at="never")
    assert json.loads(stream.getvalue())["logger"] == "etl.tests"


def test_setting_up_again_starts_anew() -> None:
    first, second = machine(), machine()
    log.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1


def shapes(key: str) -> list[str]:
    raw = key.encode()
    return [
        key,
        quote(key),
        quote(key, safe=""),
        quote_plus(key),
        json.dumps(key),
        json.dumps(key, ensure_ascii=False),
        repr(key),
        raw.hex(),
        raw.hex().upper(),
        key.replace("/", "\\/"),
        *(base64.b64encode(lead + raw).decode() for lead in (b"", b":", b"u:", b"user:")),
        *(base64.urlsafe_b64encode(lead + raw).decode() for lead in (b"", b":", b"u:")),
    ]


@pytest.mark.parametrize("shape", shapes(KEY))
def test_a_secret_is_hidden_in_every_shape(shape: str) -> None:
    core = [part for part in (shape[4:-4], shape[2:-6]) if part]
    for make in (terminal, machine):
        stream = make(KEY)
        event(log, f"sent {shape} on", header=shape)
        log.info("sent %s", shape, extra={"other": shape})
        assert not any(part in stream.getvalue() for part in core)
        assert "***" in stream.getvalue()


def test_of_two_secrets_that_overlap_none_is_left() -> None:
    hide = Redaction([Secret("x"), Secret("xk"), Secret("kxk1")])
    assert hide("a xk b kxk1 c x") == "a *** b *** c ***"


@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=4, max_size=12), min_size=1, max_size=3),
    st.text(max_size=20),
)
def test_no_secret_survives_wherever_it_stands(secrets: list[str], around: str) -> None:
    hide = Redaction([Secret(secret) for secret in secrets])
    for secret in secrets:
        assert secret not in hide(f"{around}{secret}{around}").replace("***", "\0")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"GET https://api.ravan.ai/api/v1/calling/phone-history?phone=%2B{PHONE[1:]}&page=2 HTTP/1.1", PHONE[1:]),
        (f"call {PHONE} failed", PHONE[1:]),
        ("call +91 98765 43210 failed", "98765"),
        ("call +1 (650) 253-0000 failed", "253"),
        ("'9876543210' failed", "9876543210"),
        (f"write to {MAIL} now", "asha"),
        (f"write to {MAIL.replace('@', '%40')} now", "asha"),
        ("https://s3/x.mp3?X-Amz-Signature=abcdef&a=1", "abcdef"),
        ("https://x/y?a=1&token=abcdef", "abcdef"),
        ("https://x/y?api_key=abcdef#z", "abcdef"),
        ("postgresql+psycopg://etl:hunter2@db:5432/calls", "hunter2"),
        ("{'X-API-KEY': 'abcdef', 'Accept': 'x'}", "abcdef"),
        ("[(b'authorization', b'Bearer abcdef')]", "abcdef"),
        ("Authorization: Bearer abcdef", "abcdef"),
        ("the token was bearer abcdefghij", "abcdefghij"),
    ],
)
def test_what_nobody_registered_is_hidden_by_its_look(text: str, hidden: str) -> None:
    for make in (terminal, machine):
        stream = make()
        log.info(text)
        log.info("%r", text)
        event(log, "note", text=text)
        assert hidden not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "page 17 of 200, 20000 rows in 12.345678 s",
        "2026-05-01T12:00:00.000000Z",
        "call 550e8400-e29b-41d4-a716-446655440000",
        "run 1234567 epoch 12",
        "revision 0001_the_warehouse",
        "https://api.ravan.ai/api/v1?page=2&page_size=100",
        "keys=3 phones=2",
    ],
)
def test_what_helps_is_left(text: str) -> None:
    assert Redaction([Secret(KEY)])(text) == text


def fail(secret: str) -> None:
    raise ValueError(f"bad {secret} of {PHONE}\nsecond line")


def test_a_traceback_is_redacted_and_has_no_values() -> None:
    for make in (terminal, machine):
        stream = make(KEY)
        try:
            fail(KEY)
        except ValueError:
            log.exception("it failed")
        assert "ValueError" in stream.getvalue()
        assert "second line" in stream.getvalue()
        assert not any(secret in stream.getvalue() for secret in (KEY, PHONE[1:], json.dumps(KEY)[1:-1]))


def test_text_from_outside_cannot_move_the_cursor_or_forge_a_line() -> None:
    stream = terminal()
    event(log, "note\n12:00:00 info    forged", agent="x\x1b[2J\x9b\u202egpj.exe\r\nforged\u2028")
    assert stream.getvalue().count("\n") == 1
    assert not set(stream.getvalue()) & set("\x1b\x9b\u202e\r\u2028")


def test_any_text_is_one_line_of_json() -> None:
    stream = machine()
    # the test runner's own handlers would put half a character into the report, which no worker can send
    logging.getLogger().handlers[:-1] = []
    log.info("a\nb\x00\u2028\ud800")
    assert stream.getvalue().count("\n") == 1
    assert json.loads(stream.getvalue())["event"].startswith("a\nb")


@pytest.mark.parametrize(
    "name", ["httpx", "httpcore.http11", "sqlalchemy.engine.Engine", "alembic.runtime", "apscheduler.executors"]
)
def test_libraries_speak_from_warnings_on(name: str) -> None:
    stream = machine()
    logging.getLogger(name).info("chatter")
    logging.getLogger(name).warning("trouble")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["trouble"]


def test_a_warning_of_python_is_a_line_too() -> None:
    stream = machine(KEY)
    warnings.warn(f"old {KEY}", UserWarning, stacklevel=1)
    assert "old ***" in json.loads(stream.getvalue())["event"]


def test_a_line_that_cannot_be_written_or_made_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    stream = machine(KEY)
    logging.getLogger().handlers[:-1] = []  # the test runner's own handler would raise
    log.info("%d rows", KEY)
    assert json.loads(stream.getvalue())["event"] == "%d rows"
    stream.close()
    event(log, f"lost {KEY}")
    assert capsys.readouterr().err == ""


def test_lines_go_to_stderr_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    setup()
    log.info("here")
    assert sys.stderr is not None
    captured = capsys.readouterr()
    assert "here" in captured.err
    assert captured.out == ""


def test_lines_follow_stderr_where_progress_takes_it_over(monkeypatch: pytest.MonkeyPatch) -> None:
    setup()
    bars = io.StringIO()
    monkeypatch.setattr(sys, "stderr", bars)
    log.info("here")
    assert "here" in bars.getvalue()
