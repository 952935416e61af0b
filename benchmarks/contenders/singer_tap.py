"""A Singer tap of the same wide rows, for target-postgres; turns and raw payloads are left out."""

import sys
from typing import Any

from api import COLUMNS, Api, decode, encode

KINDS: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "jsonb": {"type": ["string", "null"]},
    "numeric": {"type": ["number", "null"]},
    "timestamptz": {"type": ["string", "null"], "format": "date-time"},
}


def main() -> None:
    """Messages on standard output."""
    names = [name for name, _ in COLUMNS]
    schema = {"type": "object", "properties": {name: KINDS[kind] for name, kind in COLUMNS}}
    say({"type": "SCHEMA", "stream": "calls", "schema": schema, "key_properties": ["source", "id"]})
    for page in Api().pages():
        for each in page:
            row = dict(zip(names, each.read(decode(each.payload))[0], strict=True))
            say({"type": "RECORD", "stream": "calls", "record": row})
    say({"type": "STATE", "value": {}})


def say(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(encode(message) + b"\n")


if __name__ == "__main__":
    main()
