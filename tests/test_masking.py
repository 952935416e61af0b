"""What the roles of BI tools see: personal data masked in `bi`, plain in `bi_pii`, and no way around the mask."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from etl.cli.source_check import check_database
from etl.db.masking import TABLE, kind_of
from etl.extractors import providers
from etl.fields.tokens import customer_id
from etl.model import Provider
from etl.runtime.secret import Secret
from etl.settings import Settings
from tests.harness import PROVIDERS, make_harness
from tests.stub_provider import TIME, make_stub_harness, ringg_record

NUMBER, NAME, EMAIL, CARD = "+919812345670", "Zebulon Quixote", "zeb.quix@example.org", "4539 1488 0343 6467"
NOTATIONS = (
    *(NUMBER, "98123 45670", "(981) 234-5670", "98123\u200b45670", "9 8 1 2 3 4 5 6 7 0"),
    *(NUMBER[3:].translate(str.maketrans("0123456789", script)) for script in ("०१२३४५६७८९", "٠١٢٣٤٥٦٧٨٩")),
)
CANARY = f"ask Zebulon, {NAME.upper()}'s card {CARD}, {EMAIL}, at {' or '.join(NOTATIONS)}"
PLAIN_IN_BI = ("agent_id", "agent_name", "agent_version", "campaign_name")  # the organisation's own words
DIGITS = [chr(code) for code in range(0x110000) if unicodedata.digit(chr(code), None) is not None]


@pytest.fixture
def connection(db: Engine) -> Iterator[Connection]:
    with db.connect() as connection:
        yield connection


def canary_record(provider: Provider, said: str) -> bytes:
    """A record with personal data in every field that a column reads, in keys, and in fields that none reads."""
    values = {"customer_name": NAME, "customer_email": EMAIL}
    values |= dict.fromkeys(("from_number", "to_number", "customer_number", "agent_number"), NUMBER)
    record: dict[str, Any] = {
        "unknown_field": said, "unknown_object": {said: [said, {"phone": NUMBER, "fullName": NAME, "mail": EMAIL}]},
        "unknown_number": 9812345670, "credit_breakdown": {said: 1.5}, "custom_analysis_data": {"callback": said},
    }  # fmt: skip
    columns = {"turns": provider.turns, **provider.columns}
    for name, field in columns.items():
        for path in field.paths:
            head, _, rest = path.partition(".")
            value: object = "plain" if name in PLAIN_IN_BI else values.get(name, said)
            value = (
                {"mood": said, "phone": NUMBER, "name": NAME, NUMBER: 1} if name in ("analysis", "metadata") else value
            )
            record[head] = {**record.get(head, {}), rest: value} if rest else record.get(head, value)
    record |= {"direction": "outbound", "call_type": "outbound", "type": "outbound", "call_direction": "outbound"}
    return json.dumps({**record, provider.call_id.paths[0]: "c-1", provider.created_at.paths[0]: TIME}).encode()


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(each)
    else:
        yield str(value)


def found_in(shown: Any, names: tuple[str, ...] = ("zebulon", "quixote")) -> set[str]:
    """Which canaries some value shows, in whatever notation."""
    found = set()
    for leaf in leaves(shown):
        digits = "".join(str(unicodedata.digit(each)) for each in leaf if unicodedata.digit(each, None) is not None)
        found |= {canary for canary in ("9812345670", "4539148803436467") if canary in digits}
        found |= {part for part in (*names, "zeb.quix") if part in leaf.lower()}
    return found


def everything(connection: Connection, role: str, schema: str) -> dict[str, Any]:
    """All that a role reads of a schema, by view."""
    connection.execute(text(f"SET ROLE {role}"))
    views = {view: f"SELECT to_jsonb(v) FROM {schema}.{view} v" for view in TABLE["views"]}
    found = {view: connection.scalars(text(statement)).all() for view, statement in views.items()}
    connection.execute(text("RESET ROLE"))
    return found


@pytest.mark.parametrize("name", PROVIDERS)
def test_no_view_of_bi_shows_a_person_and_bi_pii_does(db: Engine, name: str) -> None:
    provider = providers()[name]
    harness, shelf = make_stub_harness(db)
    for said in (CANARY, f"{CANARY} again"):
        shelf.records = [canary_record(provider, said)]
        shelf.transcript = {"transcript": f"AGENT: {said}\nUSER: {said}"}
        assert harness.run(name).counts.quarantined == 0
    with db.connect() as connection:
        masked = everything(connection, "bi_reader", "bi")
        plain = everything(connection, "bi_pii", "bi_pii")
    assert {view: found for view, rows in masked.items() if (found := found_in(rows))} == {}
    assert found_in(plain["calls"]) == {"9812345670", "4539148803436467", "zebulon", "quixote", "zeb.quix"}
    assert {view: len(rows) for view, rows in masked.items()} == {view: len(rows) for view, rows in plain.items()}
    assert masked["call_changes"]


def test_a_text_loses_the_name_that_became_known_after_it(db: Engine) -> None:
    harness, shelf = make_stub_harness(db)
    for name, said in ((None, "Zebulon asks"), ("Zebulon", "Zebulon asks again"), ("Asha", "Asha, not Zebulon, asks")):
        shelf.records = [ringg_record("a", name=name, note=said, transcript=f"user: {said}")]
        harness.sync("ringg")
    with db.connect() as connection:
        masked = everything(connection, "bi_reader", "bi")
    assert {view: found for view, rows in masked.items() if (found := found_in(rows, ("zebulon", "asha")))} == {}
    assert len(masked["calls_history"]) > 1


def test_no_view_of_bi_shows_anybody_of_the_sandbox(db: Engine) -> None:
    harness = make_harness(db)
    for name in PROVIDERS:
        harness.sync(name)
    people = harness.rows("SELECT DISTINCT customer_number, customer_name, customer_email FROM warehouse.calls")
    agents = {row["agent_name"] for row in harness.rows("SELECT agent_name FROM bi.agents")}  # some call one another
    values = {str(value) for person in people for value in person.values() if value} - agents
    with db.connect() as connection:
        masked = {
            view: json.dumps(rows, default=str) for view, rows in everything(connection, "bi_reader", "bi").items()
        }
        plain = json.dumps(everything(connection, "bi_pii", "bi_pii")["calls"], default=str, ensure_ascii=False)
    assert {(view, value) for view, shown in masked.items() for value in values if value in shown} == set()
    assert all(value in plain for value in values)


def test_every_column_of_every_view_is_in_the_table_once(connection: Connection) -> None:
    columns = text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = :schema")
    named = {
        (v, n)
        for v, kinds in TABLE["views"].items()
        for kind, ns in kinds.items()
        if kind != "like"
        for n in ns.split()
    }
    for view, kinds in TABLE["views"].items():
        assert max(Counter(" ".join(kinds.values()).split()).values()) == 1, view
    for schema in ("bi", "bi_pii"):
        shown = {(row.table_name, row.column_name) for row in connection.execute(columns, {"schema": schema})}
        assert named <= shown
        assert [each for each in shown if not kind_of(*each)] == []
    assert {kind for kinds in TABLE["views"].values() for kind in kinds} == {"like", *TABLE["kinds"]}


def test_a_column_has_the_same_place_and_type_in_both_schemas_and_its_comment_says_how_it_is_masked(
    connection: Connection,
) -> None:
    columns = text(
        "SELECT c.relname AS view, a.attname AS name, a.attnum AS place, format_type(a.atttypid, a.atttypmod) AS type,"
        " col_description(c.oid, a.attnum) AS comment, obj_description(c.oid) AS about"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relnamespace = CAST(:schema AS regnamespace)"
    )
    masked, plain = (
        {(row.view, row.name): row for row in connection.execute(columns, {"schema": schema})}
        for schema in ("bi", "bi_pii")
    )
    for key, row in masked.items():
        assert (row.place, row.type, row.about) == (plain[key].place, plain[key].type, plain[key].about)
        assert row.comment.startswith(plain[key].comment)
        is_plain = kind_of(*key) == "plain"
        assert ("Masked" in row.comment) is not is_plain, key


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("call +91 98765-43210 now", "call [number] now"),
        ("my card is 4111 1111 1111 1111.", "my card is [number]."),
        ("order 4512, 25 items for Rs 1,250", "order 4512, 25 items for Rs 1,250"),
        ("on 2025-05-01 at 2025-05-01T12:00:00.123+05:30", "on 2025-05-01 at 2025-05-01T12:00:00.123+05:30"),
        ("2025-05-01 9876543210 2024-02-01", "2025-05-01 [number] 2024-02-01"),
        ("9876-54-3210, 2025-13-45", "[number]"),
        ("asha@example.com, ASHA @ example.com", "[email], [email]"),
        ("asha at example dot com", "[email]"),
        ("meet at noon", "meet at noon"),
        ("98765\ue00043210", "[number]"),
        ("id 6f2b8c1e-6a57-5d0e", "id 6f2b8c1e-6a57-5d0e"),
        (None, None),
    ],
)
def test_numbers_and_addresses_are_blanked_and_dates_stay(
    connection: Connection, shown: str | None, expected: str | None
) -> None:
    assert connection.scalar(text("SELECT warehouse.blank_numbers(:shown)"), {"shown": shown}) == expected


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(DIGITS), st.text(" .-()/+,_\u200b\u2060\u0301\ufe0f\xa0", max_size=6)), min_size=7
    )
)
def test_seven_digits_of_any_script_are_blanked_whatever_stands_between_them(
    connection: Connection, digits: list[tuple[str, str]]
) -> None:
    shown = connection.scalar(
        text("SELECT warehouse.blank_numbers(:shown)"), {"shown": "x " + "".join(map("".join, digits)) + " y"}
    )
    assert not set(shown) & set(DIGITS)


@pytest.mark.parametrize(
    ("shown", "name", "expected"),
    [
        ("hi asha verma rao!", "Asha  Verma-Rao", "hi [name]!"),
        ("Asha's, Ashaji, VERMA", "Asha Verma", "[name]'s, Ashaji, [name]"),
        ("I am Jo, not joe", "Jo", "I am [name], not joe"),
        ("Li said Li Wu", "Li Wu", "Li said [name]"),
        ("आशा वर्मा बोल रही हूँ", "आशा वर्मा", "[name] बोल रही हूँ"),
        ("a (.*) b", "(.*)", "a (.*) b"),
        ("a b", "A", "a b"),
        ("hi", None, "hi"),
        (None, "Asha", None),
    ],
)
def test_the_customers_name_is_blanked_as_a_word(
    connection: Connection, shown: str | None, name: str | None, expected: str | None
) -> None:
    values = {"shown": shown, "name": name}
    assert connection.scalar(text("SELECT warehouse.blank_text(:shown, :name)"), values) == expected


@pytest.mark.parametrize(
    "shown",
    [
        "a@b.example " + "(" * 10**6, "@" + "a" * 10**6, "1234567" + " 1 2 3 4 5 6 x" * 10**5, "dot " + "a at " * 10**5,
        "Asha " * 10**5, "2025-05-01 " * 10**4 + "1234567",
    ],
)  # fmt: skip
def test_no_text_takes_long_to_mask(connection: Connection, shown: str) -> None:
    connection.execute(text("SET LOCAL statement_timeout = '30s'"))
    connection.execute(text("SELECT warehouse.blank_text(:shown, 'Asha Verma')"), {"shown": shown})


@pytest.mark.parametrize(
    ("key", "is_personal"),
    [
        *((key, True) for key in ("name", "customer_name", "phoneNumber", "email_id", "address line 2", "contactNo",
                                  "customername", "phone_1", "date_of_birth", "zip_code", "नाम")),
        *((key, False) for key in ("agent_name", "voicemail", "hotel", "score", "customer_type", "plan", "filename")),
    ],
)  # fmt: skip
def test_a_key_says_whether_its_value_is_personal(connection: Connection, key: str, is_personal: bool) -> None:
    assert connection.scalar(text("SELECT warehouse.is_personal_key(:key)"), {"key": key}) is is_personal


def test_json_is_masked_value_by_value(connection: Connection) -> None:
    value = {
        "customer": {"name": "Asha Verma", "phone": "+91 98765 43210", "none": None, "vip": True, "pincode": 560001},
        "9876543210": 5, "id": 9876543210, "score": 0.987654321, "at": "2025-01-01T00:00:00Z", "plan": "pro",
        "items": ["call 9876543210", {"name": "phone", "value": "9876543210"}, {"name": "mood", "value": "happy Asha"}],
    }  # fmt: skip
    masked = text("SELECT warehouse.masked_json(CAST(:value AS jsonb), false, 'Asha Verma', 'inner', 'outer')")
    shown = json.loads(json.dumps(connection.scalar(masked, {"value": json.dumps(value)}), default=float))
    tokens = shown.pop("customer")
    assert (tokens.pop("none"), tokens.pop("vip")) == (None, True)
    assert [tokens[key][:5] for key in ("name", "phone", "pincode")] == [
        "name_",
        *("tel_" + tokens[key][4] for key in ("phone", "pincode")),
    ]
    item = shown["items"].pop(1)
    assert (item["name"], item["value"][:4]) == ("phone", "tel_")
    assert shown == {
        "[number]": 5, "id": "[number]", "score": 0.987654321, "at": "2025-01-01T00:00:00Z", "plan": "pro",
        "items": ["call [number]", {"name": "mood", "value": "happy [name]"}],
    }  # fmt: skip
    deep = json.dumps("Asha")
    for _ in range(50):
        deep = f"[{deep}]"
    assert "Asha" not in json.dumps(connection.scalar(masked, {"value": deep}))


def test_a_token_stands_for_the_same_person_everywhere(db: Engine) -> None:
    harness, shelf = make_stub_harness(db)
    shelf.records = [
        ringg_record("a", name="Asha Verma", to_number=NUMBER),
        ringg_record("b", name=" asha  VERMA ", to_number=NUMBER),
        ringg_record("c", name="Ravi", to_number="+919876543210"),
    ]  # fmt: skip
    harness.sync("ringg")
    rows = {row["provider_call_id"]: row for row in harness.rows("SELECT * FROM bi.calls")}
    key = harness.scalar("SELECT key FROM ops.masking_key")
    assert rows["a"]["customer_number"] == rows["b"]["to_number"] == f"tel_{customer_id(NUMBER, key).hex[:16]}"
    assert rows["a"]["customer_name"] == rows["b"]["customer_name"] != rows["c"]["customer_name"]
    assert rows["a"]["customer_id"] == rows["b"]["customer_id"] == customer_id(NUMBER, key)
    shelf.records = [ringg_record("a", name="Asha Verma", to_number="+919876543210")]
    harness.sync("ringg")
    changes = {row["field"]: row for row in harness.rows("SELECT * FROM bi.call_changes")}
    assert changes["to_number"]["old_value"] == rows["a"]["to_number"]
    assert changes["customer_number"]["new_value"] == rows["c"]["customer_number"]


def reader(connection: Connection, role: str = "bi_reader") -> None:
    connection.execute(text(f"SET SESSION AUTHORIZATION {role}"))


@pytest.fixture
def watched(db: Engine) -> Iterator[Connection]:
    """A session of bi_reader on one call of a person, with functions of its own that repeat what they are given."""
    harness, _ = make_stub_harness(
        db,
        ringg_record(
            "a",
            name=NAME,
            to_number=NUMBER,
            transcript=f"user: {CANARY}\nbot: a refund, Zebulon-ji",
            extra_field=CANARY,
        ),
    )
    harness.sync("ringg")
    with db.connect() as connection:
        connection.execute(text("GRANT CREATE ON SCHEMA public TO bi_reader"))
        reader(connection)
        yield connection
        connection.rollback()
        connection.invalidate()


def test_a_function_of_the_readers_own_sees_what_the_reader_sees(watched: Connection) -> None:
    watched.execute(
        text(
            "CREATE FUNCTION pg_temp.leak(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
            " $$ BEGIN RAISE EXCEPTION '%', $1; END $$"
        )
    )
    for column in ("customer_number", "customer_name", "extra::text", "analysis::text", "recording_url", "c::text"):
        with pytest.raises(DBAPIError) as error, watched.begin_nested():
            watched.execute(text(f"SELECT 1 FROM bi.calls c WHERE coalesce(pg_temp.leak({column}), pg_temp.leak(1))"))
        assert found_in(str(error.value.orig)) == set()


def test_a_function_of_the_readers_own_takes_the_place_of_none_that_masks(watched: Connection) -> None:
    for name, arguments, result in (
        ("regexp_replace", "text, text, text, text", "text"), ("lower", "text", "text"), ("btrim", "text", "text"),
        ("replace", "text, text, text", "text"), ("jsonb_typeof", "jsonb", "text"), ("to_jsonb", "text", "jsonb"),
        ("convert_to", "text, name", "bytea"), ("blank_text", "text, text", "text"),
    ):  # fmt: skip
        watched.execute(
            text(
                f"CREATE FUNCTION public.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION '%', $1; END $$"
            )
        )
    watched.execute(text("SET search_path = public, pg_catalog"))
    for view in TABLE["views"]:
        assert found_in(watched.scalars(text(f"SELECT CAST(v AS text) FROM bi.{view} v")).all()) == set()


@pytest.mark.parametrize(
    "cast",
    ["customer_number::integer", "customer_name::date", "extra::text::integer", "(extra ->> 'extra_field')::inet"],
)
def test_an_error_shows_nothing_that_is_masked(watched: Connection, cast: str) -> None:
    with pytest.raises(DBAPIError) as error:
        watched.execute(text(f"SELECT {cast} FROM bi.calls"))
    assert found_in(str(error.value.orig)) == set()


def test_neither_a_plan_nor_statistics_show_a_value(watched: Connection) -> None:
    for view in TABLE["views"]:
        plan = "\n".join(watched.scalars(text(f"EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM bi.{view}")))
        assert found_in(plan) == set()
        assert "_key FROM" not in plan
    assert watched.execute(text("SELECT * FROM pg_stats WHERE schemaname IN ('warehouse', 'ops', 'raw')")).all() == []


@pytest.mark.parametrize(
    "words",
    ["Zebulon", "quixote", "98123", "9812345670", "९८१२३४५६७०", "zeb.quix@example.org", "example.org", "4539", "4512"],
)
def test_a_search_finds_no_number_address_or_name(watched: Connection, words: str) -> None:
    query = text("SELECT count(*) FROM bi.transcripts WHERE search_vector @@ CAST(:words AS tsquery)")
    for each in (f"'{words.lower()}'", f"'{words.lower()}':*"):
        assert watched.scalar(query, {"words": each}) == 0
    assert watched.scalar(query, {"words": "'refund'"}) == 1
    assert watched.scalar(query, {"words": "'ji'"}) == 1


def test_a_name_that_becomes_known_later_is_taken_out_of_the_search(db: Engine) -> None:
    said = "user: this is Zebulon speaking"
    harness, shelf = make_stub_harness(db, ringg_record("a", transcript=said))
    harness.sync("ringg")
    query = "SELECT count(*) FROM bi.transcripts WHERE search_vector @@ 'zebulon'::tsquery"
    assert harness.scalar(query.replace("::", "\\:\\:")) == 1
    shelf.records = [ringg_record("a", transcript=said, name=NAME)]
    harness.sync("ringg")
    assert harness.scalar(query.replace("::", "\\:\\:")) == 0
    assert harness.scalar("SELECT customer_name FROM warehouse.transcripts") == NAME


def test_the_key_and_what_uses_it_are_out_of_reach(watched: Connection, db: Engine) -> None:
    for statement in (
        "SELECT key FROM ops.masking_key", "SELECT warehouse.customer_id('+1', 'a', 'b')",
        "SELECT bi_pii.customer_id('+919812345670')", "SELECT * FROM bi_pii.calls", "SELECT * FROM raw.payloads",
        "SELECT * FROM warehouse.calls", "CREATE TABLE bi.mine (x int)", "SET ROLE bi_pii",
    ):  # fmt: skip
        with pytest.raises(ProgrammingError, match="denied"), watched.begin_nested():
            watched.execute(text(statement))
    definers = "SELECT p.oid::regproc::text FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
    definers += " WHERE prosecdef AND nspname IN ('bi', 'bi_pii', 'warehouse', 'ops', 'raw') ORDER BY 1"
    with db.connect() as connection:
        found = connection.exec_driver_sql(definers).scalars().all()
    # the first for bi_pii alone; the others read no table, and no reader may use their schema
    assert found == ["bi_pii.customer_id", "warehouse.blank_text", "warehouse.masked_item", "warehouse.masked_json"]


@pytest.mark.parametrize("number", [NUMBER, "+91 98123 45670", "98123 45670"])
def test_who_may_see_numbers_finds_calls_by_them_with_the_index(db: Engine, number: str) -> None:
    key = make_harness(db).scalar("SELECT key FROM ops.masking_key")
    with db.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(text("SET LOCAL ROLE bi_pii"))
        found = connection.scalar(text("SELECT bi_pii.customer_id(:number)"), {"number": number})
        assert found == customer_id(NUMBER if number.startswith("+") else number, key)
        query = "EXPLAIN SELECT call_key FROM bi_pii.calls WHERE customer_id = bi_pii.customer_id(:number)"
        assert "ix_calls_customer_id" in "\n".join(connection.scalars(text(query), {"number": number}))


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("customer_id = '6f2b8c1e-6a57-5d0e-9d0c-1f1d3e0b7a42'", "ix_calls_customer_id"),
        ("source = 'ringg' AND created_at > now() - interval '1 day'", "ix_calls_source_created_at"),
        ("created_at > now() - interval '1 day'", "ix_calls_created_at"),
        ("call_key = '6f2b8c1e-6a57-5d0e-9d0c-1f1d3e0b7a42'", "pk_calls"),
    ],
)
def test_a_masked_column_costs_only_where_it_is_selected(db: Engine, condition: str, index: str) -> None:
    with db.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(text("SET LOCAL ROLE bi_reader"))
        query = f"EXPLAIN (VERBOSE) SELECT source, agent_name FROM bi.calls WHERE {condition}"
        plan = "\n".join(connection.exec_driver_sql(query).scalars())
    assert index in plan
    assert not any(word in plan for word in ("sha256", "blank_", "masked_", "masking_key"))


def test_check_says_which_role_cannot_read_and_what_gives_it_that(db: Engine) -> None:
    harness = make_harness(db)
    given = Settings(
        Secret(db.url.render_as_string(hide_password=False)), Path(), (*harness.sources.values(),), None, None
    )
    assert "cannot read" not in check_database(given)[0].message
    harness.execute("REVOKE USAGE ON SCHEMA bi_pii FROM bi_pii")
    found = check_database(given)[0]
    assert found.is_ok
    assert "; bi_pii, for BI tools, cannot read, and this user may not grant it; ask an administrator" in found.message
    assert "CREATE ROLE" not in found.message
    harness.execute(found.message.partition("run: ")[2])
    assert "cannot read" not in check_database(given)[0].message
