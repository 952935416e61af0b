"""A fifth provider is one file and one folder of recorded pages: nothing else is touched, and the contract holds."""

import json
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

import etl.extractors
from etl import settings
from etl.extractors import providers
from etl.model import Provider
from etl.pipeline import sync
from etl.sync.run import RunDependencies, run_source
from tests import contract
from tests.fakes import FakeClock

FIFTH = Path(__file__).parent / "fifth"


@pytest.fixture
def echoline(monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setattr(etl.extractors, "__path__", [*etl.extractors.__path__, str(FIFTH)])
    return providers()["echoline"]


def test_it_is_found_by_lying_on_the_path(echoline: Provider) -> None:
    assert list(providers()) == ["autocalls", "echoline", "ravan", "ringg", "vaani"]
    assert echoline.title == "Echoline"


def test_the_four_are_alone_again_without_it() -> None:
    assert "echoline" not in providers()


def test_it_takes_less_than_a_hundred_lines() -> None:
    assert len((FIFTH / "echoline.py").read_text().splitlines()) < 100


def test_the_guide_shows_it_word_for_word() -> None:
    guide = FIFTH.parent.parent / "docs" / "adding-a-provider.md"
    assert (FIFTH / "echoline.py").read_text() in guide.read_text()


def test_the_contract_of_every_provider_holds_for_it(echoline: Provider) -> None:
    contract.asks_for_what_is_wanted(echoline)
    recordings = list(contract.recordings(echoline, FIFTH))
    assert recordings
    for recording in recordings:
        contract.holds_golden_rows(recording)
        contract.names_every_field(recording)
        contract.keeps_what_is_new(recording)
        contract.is_indifferent_to_the_order_of_keys(recording)


class Recorded(httpx.BaseTransport):
    """Its recorded page, to whoever has the key."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("X-Echo-Key") != "a-key-of-this-test":
            return httpx.Response(401)
        return httpx.Response(200, content=(FIFTH / "echoline.calls" / "page.json").read_bytes())


def test_its_calls_reach_the_warehouse_by_configuration_alone(echoline: Provider, db: Engine, tmp_path: Path) -> None:
    (tmp_path / "etl.toml").write_text('[sources.echo]\nprovider = "echoline"\napi_key = "env:ECHO_KEY"\n')
    (source,) = settings.load({"ECHO_KEY": "a-key-of-this-test"}, tmp_path).sources
    means = RunDependencies(db, FakeClock(), transport=lambda source: Recorded())
    report = run_source(means, source, "sync", sync, lambda progress: None, by_hand=True)
    assert (report.status, report.error) == ("succeeded", None)
    golden = json.loads((FIFTH / "echoline.calls" / "page.golden.json").read_text())["calls"]
    with db.connect() as connection:
        held = connection.execute(text("SELECT * FROM bi.calls ORDER BY provider_call_id")).mappings().all()
        turns = connection.execute(text("SELECT speaker, text FROM bi.transcript_turns ORDER BY turn_index")).all()
    shown = ("provider_call_id", "direction", "outcome", "provider_status", "from_number", "to_number", "cost_unit")
    assert [[row[name] for name in shown] for row in held] == [[each.get(name) for name in shown] for each in golden]
    assert {row["source"] for row in held} == {"echo"}
    assert [tuple(turn) for turn in turns] == [("agent", "Hello."), ("customer", "Hello!")]
