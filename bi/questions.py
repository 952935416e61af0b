"""docs/questions.md → its twenty statements; and their results → the tables under them."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "questions.md"
SECTION = re.compile(
    r"^(## \d+\. (?P<title>[^\n]+)\n.*?^```sql\n(?P<sql>.*?)^```\n)(?P<result>.*?)(?=^## |\Z)", re.M | re.S
)
Rows = Sequence[Sequence[Any]]


class Question(NamedTuple):
    """A question that somebody asks, and the statement that answers it."""

    title: str
    sql: str

    def on(self, today: date) -> str:
        """The statement as it runs on a day."""
        return self.sql.replace("current_date", f"date '{today}'")


def read() -> list[Question]:
    """The questions of the document, in its order."""
    return [Question(found["title"], found["sql"]) for found in SECTION.finditer(DOCUMENT.read_text("utf-8"))]


def with_results(document: str, ask: Callable[[Question], tuple[Sequence[str], Rows]]) -> str:
    """The document with the results that ``ask`` finds: the names of the columns, and the rows."""

    def answered(found: re.Match[str]) -> str:
        return f"{found[1]}\n{_table(*ask(Question(found['title'], found['sql'])))}\n"

    return SECTION.sub(answered, document).rstrip("\n") + "\n"


def _table(columns: Sequence[str], rows: Rows) -> str:
    numeric = [all(isinstance(row[at], int | float | Decimal | None) for row in rows) for at in range(len(columns))]
    lines = [columns, ["--:" if is_numeric else "---" for is_numeric in numeric]]
    lines += [[_cell(value) for value in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
