"""Rates from units of cost to one currency: what they make of the amounts in bi, and what `etl rates` says."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from etl.sandbox.world import World
from etl.state import rates
from etl.state.rates import Rate, RateExists
from tests.commands import run_etl
from tests.harness import Harness, make_harness

NEW_YEAR, MAY = date(2026, 1, 1), date(2026, 5, 1)


@pytest.fixture
def harness(db: Engine) -> Harness:
    """A warehouse with calls of two units, whose reports are in EUR."""
    harness = make_harness(db, World(3, calls=20))
    harness.sync("ringg")
    harness.sync("autocalls")
    harness.execute("UPDATE ops.sources SET report_currency = 'EUR'")
    return harness


def add(harness: Harness, *added: Rate) -> None:
    with harness.db.begin() as connection:
        for rate in added:
            rates.add(connection, rate)


def test_a_cost_is_converted_by_the_rate_of_its_day(harness: Harness) -> None:
    (middle,) = harness.rows(
        "SELECT (percentile_disc(0.5) WITHIN GROUP (ORDER BY created_at))::date AS day FROM bi.calls"
    )
    add(
        harness,
        Rate("ringg", "ringg_credits", "EUR", NEW_YEAR, Decimal("0.1")),
        Rate("ringg", "ringg_credits", "EUR", middle["day"], Decimal("0.25")),
        Rate("ringg", "ringg_credits", "USD", NEW_YEAR, Decimal(9)),  # not the currency of reports
        Rate("autocalls", "ringg_credits", "EUR", NEW_YEAR, Decimal(9)),  # not its unit
    )
    wrong = harness.rows(
        "SELECT * FROM bi.calls WHERE cost_reporting IS DISTINCT FROM CASE WHEN source = 'ringg' THEN"
        f" cost * CASE WHEN local_date < '{middle['day']}' THEN 0.1 ELSE 0.25 END END"
    )
    assert wrong == []
    assert harness.scalar("SELECT count(DISTINCT cost_reporting / cost) FROM bi.calls WHERE cost > 0") == 2


def test_the_daily_metrics_add_up_what_is_converted_and_count_what_is_not(harness: Harness) -> None:
    (first,) = harness.rows("SELECT min(created_at)::date + 1 AS day FROM bi.calls WHERE source = 'ringg'")
    add(harness, Rate("ringg", "ringg_credits", "EUR", first["day"], Decimal("0.1")))
    found = harness.rows(
        "SELECT day, source, sum(cost_reporting) AS cost, sum(calls_without_rate) AS without FROM bi.daily_call_metrics"
        " GROUP BY day, source ORDER BY day, source"
    )
    assert found == harness.rows(
        "SELECT local_date AS day, source, sum(cost_reporting) AS cost,"
        " count(cost) FILTER (WHERE cost_reporting IS NULL) AS without FROM bi.calls GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert {row["source"] for row in found if row["cost"]} == {"ringg"}
    assert {row["source"] for row in found if row["without"]} == {"ringg", "autocalls"}


def test_an_amount_in_the_currency_of_reports_needs_no_rate(harness: Harness) -> None:
    harness.execute("UPDATE ops.sources SET report_currency = 'USD'")
    assert harness.scalar("SELECT count(*) FROM bi.calls WHERE source = 'autocalls' AND cost_reporting <> cost") == 0
    assert harness.scalar("SELECT sum(cost_reporting) = sum(cost) FROM bi.calls WHERE source = 'autocalls'") is True
    assert harness.scalar("SELECT sum(calls_without_rate) FROM bi.daily_call_metrics WHERE source = 'autocalls'") == 0


def test_a_rate_is_changed_only_by_taking_it_away(harness: Harness) -> None:
    rate = Rate("ringg", "ringg_credits", "EUR", NEW_YEAR, Decimal("0.1"))
    add(harness, rate, rate)
    with pytest.raises(RateExists, match=r"ringg has a rate from 2026-01-01 already: 1 ringg_credits = 0.1 EUR"):
        add(harness, rate._replace(rate=Decimal("0.2")))
    with harness.db.begin() as connection:
        assert not rates.remove(connection, "ringg", "ringg_credits", "EUR", MAY)
        assert not rates.remove(connection, "ringg", "ringg_credits", "USD", NEW_YEAR)
        assert rates.remove(connection, "ringg", "ringg_credits", "EUR", NEW_YEAR)
        assert list(rates.listed(connection)) == []


def test_the_commands_set_list_and_unset(harness: Harness, database_url: str, tmp_path: Path) -> None:
    given = {"DATABASE_URL": f"{database_url}?sslmode=disable"}
    wrong = {
        (
            "set",
            "ring",
            "ringg_credits",
            "EUR",
            "1",
            "--from",
            "2026-01-01",
        ): "unknown source 'ring'; did you mean ringg?",
        ("set", "ringg", "credits", "EUR", "1", "--from", "2026-01-01"): "no cost of ringg is in 'credits'",
        ("set", "ringg", "ringg_credits", "eur", "1", "--from", "2026-01-01"): "'eur' is no currency; write its code",
        ("set", "ringg", "ringg_credits", "EUR", "0", "--from", "2026-01-01"): "'0' is no rate; write a number above 0",
        ("set", "ringg", "ringg_credits", "EUR", "1,5", "--from", "2026-01-01"): "'1,5' is no rate",
        ("set", "ringg", "ringg_credits", "EUR", "inf", "--from", "2026-01-01"): "'inf' is no rate",
        ("set", "ringg", "ringg_credits", "EUR", "-1", "--from", "2026-01-01"): "'-1' is no rate",
        ("set", "ringg", "ringg_credits", "EUR", "1_0", "--from", "2026-01-01"): "'1_0' is no rate",
        ("set", "autocalls", "USD", "USD", "1", "--from", "2026-01-01"): "costs in the currency of the rate itself",
        ("set", "ringg", "ringg_credits", "EUR", "1", "--from", "1.1.2026"): "--from",
        (
            "unset",
            "ringg",
            "ringg_credits",
            "USD",
            "--from",
            "2026-01-01",
        ): "ringg has no rate from ringg_credits to USD from 2026-01-01",
    }
    for words, problem in wrong.items():
        said = run_etl("rates", *words, cwd=tmp_path, given=given)
        assert (said.returncode, said.stdout) == (2, ""), words
        assert problem in " ".join(said.stderr.split())
    said = run_etl(
        "rates", "set", "ringg", "ringg_credits", "EUR", "0.012", "--from", "2026-01-01", cwd=tmp_path, given=given
    )
    assert said.stdout == "ringg: 1 ringg_credits = 0.012 EUR from 2026-01-01\n", said.stderr
    assert 'write report_currency = "EUR" at the top of etl.toml' in said.stderr
    said = run_etl(
        "rates", "set", "ringg", "ringg_credits", "EUR", "0.02", "--from", "2026-01-01", cwd=tmp_path, given=given
    )
    assert "`etl rates unset ringg ringg_credits EUR --from 2026-01-01` removes it" in " ".join(said.stderr.split())
    add(harness, Rate("ringg", "ringg_credits", "EUR", MAY, Decimal("0.013")))
    said = run_etl("rates", "list", "--json", cwd=tmp_path, given=given)
    same = {"source": "ringg", "unit": "ringg_credits", "currency": "EUR"}
    assert json.loads(said.stdout) == [
        {**same, "valid_from": "2026-01-01", "rate": "0.012", "valid_until": "2026-05-01"},
        {**same, "valid_from": "2026-05-01", "rate": "0.013", "valid_until": None},
    ]
    said = run_etl("rates", "unset", "ringg", "ringg_credits", "EUR", "--from", "2026-01-01", cwd=tmp_path, given=given)
    assert said.returncode == 0
    said = run_etl("rates", "list", cwd=tmp_path, given=given)
    assert said.stdout == "ringg  1 ringg_credits = 0.013 EUR  from 2026-05-01\n"
