"""A template and its values → an HTML response; every value is escaped, and a missing one is an error."""

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from etl.runtime import humanize
from etl.web import formatting

HERE = Path(__file__).resolve().parent
_CODE = re.compile(r"`([^`]+)`")


def render(template: str, now: datetime, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template with these values."""
    page = _environment().get_template(f"{template}.html")
    return HTMLResponse(page.render({"page_zone": UTC, "now": now, **values}), status)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        humanize.ago, humanize.counted, humanize.duration, humanize.moment, formatting.amount, formatting.clock_time,
        formatting.hidden, formatting.label, formatting.minutes, formatting.phone_number, code_spans,
    )  # fmt: skip
    environment.filters.update({function.__name__: function for function in filters})
    return environment


def code_spans(text: str) -> Markup:
    """A message in which `` `etl sync` `` is set as code; all else is escaped."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped one step earlier
