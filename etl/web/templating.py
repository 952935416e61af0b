"""A template and its values → an answer; every value is escaped, and one that is missing is an error."""

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from etl.runtime import humanize
from etl.web import formatting

HERE = Path(__file__).resolve().parent


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for each in (
        humanize.ago, humanize.duration, humanize.counted, humanize.moment, formatting.amount, formatting.clock_time,
        formatting.minutes, formatting.number, formatting.hidden,
    ):  # fmt: skip
        made.filters[each.__name__] = each
    return made


def page(name: str, now: datetime, status: int = 200, **values: Any) -> HTMLResponse:
    """The answer that a template makes of these values."""
    return HTMLResponse(_environment().get_template(f"{name}.html").render(now=now, **values), status)
