"""A folder of recorded pages → pages as a sync would receive them, and the golden rows beside them.

The folder holds ``<case>.json``, a page as it was received, ``<case>.golden.json``, the rows it becomes, and
``asked.json``, which says of each case how it was requested: ``{"page": {"position": 1, "size": 50}}``.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from etl.decode import decode, read_record
from etl.model import Call, InvalidResponse, Page, PageRequest, Provider, Reject, Source, Window
from etl.runtime.secret import Secret
from etl.transformer import read_identity, transform_record

WINDOW = Window(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 12, 9, 30, 0, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded page of a provider; ``asked`` is its entry in ``asked.json``."""

    provider: Provider
    folder: Path
    case: str
    source: Source
    asked: dict[str, Any]

    @property
    def body(self) -> bytes:
        """The page as it was received."""
        return (self.folder / f"{self.case}.json").read_bytes()

    @property
    def golden(self) -> Path:
        """The file of the rows that the page becomes."""
        return self.folder / f"{self.case}.golden.json"

    @property
    def request(self) -> PageRequest:
        """The request that the page answers."""
        asked = self.asked
        return PageRequest(self.source, WINDOW, asked["position"], asked["size"], asked.get("partition", ""))

    def page(self) -> Page:
        """The page as the provider's file reads it."""
        return self.provider.read(self.request, decode(self.body))

    def rows(self) -> list[Call | Reject]:
        """What the records of the page become."""
        return [transform(self.provider, self.source, record) for record in self.page().records]

    def golden_text(self) -> str:
        """The golden rows as they are by today's code."""
        page = self.page()
        facts = {"total": page.total, "size": page.size, "is_last": page.is_last}
        shown = {**facts, "calls": [_shown(row) for row in self.rows()]}
        return json.dumps(shown, indent=1, ensure_ascii=False, default=str) + "\n"


def make_source(provider: Provider, partitions: tuple[str, ...] = (), **settings: Any) -> Source:
    """An account of a provider, configured with a key and nothing else."""
    key = Secret("the key of the account")
    return Source(provider.name, provider.name, provider.base_url, key, provider.cost_unit, partitions, **settings)


def recordings(provider: Provider, folder: Path) -> list[Recording]:
    """The recorded pages of a folder, in the order of their names."""
    asked = json.loads((folder / "asked.json").read_bytes())
    source = make_source(provider, tuple(asked.get("partitions", ())))
    cases = sorted(path.stem for path in folder.glob("*.json") if "." not in path.stem and path.stem != "asked")
    return [Recording(provider, folder, case, source, asked[case]) for case in cases]


def write_golden_rows(provider: Provider, folder: Path) -> None:
    """Write the golden rows of a folder anew; read the difference as if somebody else had made it."""
    for recording in recordings(provider, folder):
        recording.golden.write_text(recording.golden_text())


def transform(provider: Provider, source: Source, payload: bytes) -> Call | Reject:
    """One record's bytes → rows. Never raises, whatever the bytes are."""
    try:
        record, _ = read_record(payload)
    except InvalidResponse as error:
        return Reject(str(error))
    return transform_record(provider, read_identity(provider, source, record))


def _shown(result: Call | Reject) -> dict[str, Any]:
    if isinstance(result, Reject):
        return {"reject": result.reason}
    columns = {name: value for name, value in result.columns.items() if value not in (None, [])}
    turns = [{name: value for name, value in turn._asdict().items() if value is not None} for turn in result.turns]
    drift = [" ".join(note) for note in result.drift]
    return {"provider_call_id": result.provider_call_id, **columns, "turns": turns, "drift": drift}
