"""What every way out shows of a link: one list of examples for the log and for the views of ``bi``."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from etl.extractors import providers
from etl.model import Provider
from etl.runtime.redaction import Redaction, bare_links
from etl.runtime.secret import Secret
from tests.harness import PROVIDERS
from tests.stub_provider import TIME, make_stub_harness

S = "s3cr3t"  # in every example: whatever opens the link
LINK = "https://h.example/x.mp3"
QUERIES = (
    f"?X-Amz-Algorithm=AWS4&X-Amz-Credential=A%2F1&X-Amz-Signature={S}", f"?AWSAccessKeyId=A&Signature={S}&Expires=1",
    f"?GoogleAccessId=a&Expires=1&Signature={S}", f"?sv=2022&sp=r&sig={S}", f"?Policy=e&Key-Pair-Id=K&Signature={S}",
    f"?hdnea=exp=1~hmac={S}", f"?token={S}", f"?access_token={S}", f"?jwt={S}.e.f", f"?key={S}", f"?api_key={S}",
    f"?exp={S}", f"?auth={S}", f"?TOKEN={S}", f"?%74oken={S}", f"?id=7&token={S}", f"?token={S}&id=7", f"?{S}",
    f"?id=7&amp;token={S}", f"?id={S}.{S}", f"#access_token={S}", f"#{S}", f";jsessionid={S}",
    f"?u=https://v.example/?token={S}", f"?a='{S}'", f"?a[]={S}", f"%3Ftoken%3D{S}", f"%23{S}", f"?a={S},b", f"??{S}",
    "\\u003ftoken=" + S, "\\u0023" + S,
)  # fmt: skip
EXAMPLES = {
    **{LINK + query: LINK for query in QUERIES},
    f"https://user:{S}@h.example:8443/x.mp3": "https://h.example:8443/x.mp3",
    f"https://{S}@h.example/x.mp3?id=7": f"{LINK}?id=7",
    f"HTTPS://user:{S}@@h.example/x.mp3": "HTTPS://h.example/x.mp3",
    f"//user:{S}@h.example/x?t={S}": "//h.example/x",
    f"{LINK}?page=1#{S}": f"{LINK}?page=1",
    f"s3://b/x?t={S}": "s3://b/x",
    f"h.example/x.mp3?token={S}": "h.example/x.mp3",
    f"/x.mp3?token={S}&id=7": "/x.mp3",
    f"https%3A%2F%2Fu:{S}%40h.example%2Fx.mp3%3Ftoken%3D{S}": "https%3A%2F%2Fh.example%2Fx.mp3",
    f"https:\\/\\/u:{S}@h.example\\/x.mp3?t=a\\/{S}": "https:\\/\\/h.example\\/x.mp3",
    f'{{"u": "{LINK}?t={S}", "n": 1}}': f'{{"u": "{LINK}", "n": 1}}',
    f"see {LINK}?t={S} and <{LINK}#{S}>": f"see {LINK} and <{LINK}>",
    **{kept: kept for kept in (
        LINK, f"{LINK}?id=7", f"{LINK}?call_id=a-7&page=2", "how are you? fine; a//b", "R&D #1, 50% off",
        "mail a@b.example",
        "sip:+91@h.example;transport=tcp", "is it? yes=no", "", "C# and F#: 1=1", "https://[::1]:80/x%20y", "<b>a</b>",
    )},
}  # fmt: skip


@pytest.fixture
def connection(db: Engine) -> Iterator[Connection]:
    with db.connect() as connection:
        yield connection


def in_sql(connection: Connection, shown: str) -> Any:
    return connection.scalar(text("SELECT warehouse.bare_links(:shown)"), {"shown": shown})


def test_a_link_opens_nothing_in_the_log_or_in_a_view(connection: Connection) -> None:
    """As text, and inside of a jsonb, itself as a text inside of JSON too."""
    as_jsonb = text("SELECT warehouse.bare_links(CAST(CAST(:value AS jsonb) AS text))::jsonb")
    for link, expected in EXAMPLES.items():
        assert (bare_links(link), in_sql(connection, link)) == (expected, expected), link
        for value in ({"a": [link, 1], link: None}, [json.dumps({"u": link})], json.dumps(json.dumps([link]))):
            shown = connection.scalar(as_jsonb, {"value": json.dumps(value)})
            assert S not in json.dumps(shown), (link, shown)
        assert connection.scalar(as_jsonb, {"value": json.dumps({"a": link, "b": 1})}) == {"a": expected, "b": 1}


def linked_record(provider: Provider, number: int, link: str) -> bytes:
    """A record with a link as the text of every field that a column reads, in its keys, and in one that none reads."""
    record: dict[str, Any] = {"unknown_field": link, "unknown_object": {link: link}, "credit_breakdown": {link: 1.5}}
    for field in (*provider.columns.values(), provider.turns):
        for path in field.paths:
            head, _, rest = path.partition(".")
            record[head] = {**record.get(head, {}), rest: link} if rest else record.get(head, link)
    return json.dumps({**record, provider.call_id.paths[0]: f"c-{number}", provider.created_at.paths[0]: TIME}).encode()


@pytest.mark.parametrize("changes", [False, True])
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_link_in_any_field_of_a_record_opens_nothing_in_any_view(db: Engine, name: str, changes: bool) -> None:
    """Where a record changes, both values are shown."""
    links = [link for link in EXAMPLES if S in link]
    provider = providers()[name]
    harness, shelf = make_stub_harness(db)
    for word in (S, f"n{S}")[: 1 + changes]:
        shelf.records = [linked_record(provider, n, link.replace(S, word)) for n, link in enumerate(links)]
        shelf.transcript = {"transcript": "AGENT: " + " ".join(links).replace(S, word)}
        assert harness.run(name).counts.quarantined == 0
    assert harness.scalar("SELECT count(*) FROM bi.calls") == len(links)
    query = "SELECT schemaname || '.' || viewname AS name FROM pg_views WHERE schemaname IN ('bi', 'bi_pii')"
    for view in [each["name"] for each in harness.rows(query)] + ["ops.schema_drift", "ops.runs", "ops.streams"]:
        for row in harness.rows(f"SELECT to_jsonb(v) AS row FROM {view} v"):
            shown = {key: value for key, value in row["row"].items() if S in json.dumps(value, default=str)}
            assert shown == {}, view


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text('\\\\\\"//?#;%@=&:nu02F3fax 7\n', max_size=40))
def test_both_agree_on_any_text_and_a_jsonb_stays_one(connection: Connection, shown: str) -> None:
    found = bare_links(shown)
    assert in_sql(connection, shown) == found
    as_json = json.dumps({shown: [shown, shown]}, ensure_ascii=False)
    assert in_sql(connection, as_json) == (left := bare_links(as_json))
    assert isinstance(json.loads(left), dict)


def test_the_keys_of_many_accounts_are_hidden_as_fast_as_a_few() -> None:
    keys = [f"key-of-account-{number}-7f3a" for number in range(3_000)]
    redact = Redaction(map(Secret, keys))
    for key in (keys[0], keys[1], keys[-1]):
        for form in (key, key.encode().hex(), base64.b64encode(key.encode()).decode()):
            assert form[:20] not in redact(f"said {form} and {form}")
            assert form[:20] not in redact.secrets_in_bytes(f"\xff{form}".encode("latin-1")).decode("latin-1")
    assert redact.secrets("key-of-account-3000-7f3a and key-of") == "key-of-account-3000-7f3a and key-of"
    assert redact.secrets("") == ""
    more = redact.extended([Secret("another-key")])
    assert more(f"{keys[7]} another-key") == "*** ***"
    assert Redaction().extended([Secret("another-key")])("another-key") == "***"
