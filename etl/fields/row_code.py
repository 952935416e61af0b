"""A provider's columns → one function that reads a row, written as code from the column table itself.

A field may say in its :class:`~etl.model.Inline` code how the values that nearly all records hold become its column;
what is none of these is left to the field's own reader. Of Ringg's table this function is made, in which ``…`` stands
for more conditions::

    def read_row(context):
        record, row, source = context.record, context.row, context.source
        get, zone, region = record.get, source.timezone, source.region
        v = get("status")
        row["provider_status"] = v if type(v) is str and … else None if v is None else read_provider_status(context)
        row["outcome"] = read_outcome(context)
        v = get("agent"); v = v.get("id") if isinstance(v, dict) else None
        row["agent_id"] = v if type(v) is str and … else None if v is None else read_agent_id(context)
        …

It has no knowledge of its own: the readers alone give the same rows, in a half more time, and a test compares the two
over mutated records. A traceback shows its lines.
"""

import linecache
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from etl.model import Field, RecordContext

ReadRow = Callable[[RecordContext], None]
_HEAD = """def read_row(context):
    record, row, source = context.record, context.row, context.source
    get, zone, region = record.get, source.timezone, source.region
"""
_numbers = count(1)


def compiled(provider: str, columns: Mapping[str, Field]) -> ReadRow:
    """The function that reads the columns into a context's row, one after the other."""
    names: dict[str, Any] = {}
    source = _HEAD + "".join([_lines(name, field, names) for name, field in columns.items()])
    filename = f"<the columns of {provider}, {next(_numbers)}>"
    exec(compile(source, filename, "exec"), names)  # noqa: S102 - of code that stands in our own fields
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    read_row: ReadRow = names["read_row"]
    return read_row


def _lines(column: str, field: Field, names: dict[str, Any]) -> str:
    """The lines that read one column; ``names`` gets what they use."""
    names[f"read_{column}"] = field.read
    inline = field.inline
    if inline is None:
        return f"    row[{column!r}] = read_{column}(context)\n"
    names.update({f"{name}_{column}": value for name, value in inline.names.items()})
    code = inline.code.format(**{name: f"{name}_{column}" for name in inline.names}, read=f"read_{column}(context)")
    head, _, rest = inline.path.partition(".")
    get = f"    v = get({head!r})\n" if head else ""
    get += f"    v = v.get({rest!r}) if isinstance(v, dict) else None\n" if rest else ""
    return f"{get}    row[{column!r}] = {code}\n"
