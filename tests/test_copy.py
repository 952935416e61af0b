"""The bytes in which COPY takes a value are those that psycopg writes."""

import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.json import set_json_dumps

from etl.db.copy import PACKERS
from etl.db.engine import json_bytes

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NUMBERS = [Decimal(text) for text in ("0", "-0", "1.0", "1.00", "1E+3", "1E-20", "-12345678901234567890.5", "10000")]
VALUES = {
    "uuid": st.uuids(),
    "jsonb": st.lists(JSON, max_size=3) | st.dictionaries(TEXTS, JSON, max_size=3),
    "text[]": st.lists(TEXTS, max_size=4),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, places=4) | st.sampled_from(NUMBERS),
    "uuid[]": st.lists(st.uuids(), max_size=4),
}


def written(name: str, value: Any) -> Any:
    """What psycopg makes of a value for a column of this type."""
    adapters = psycopg.adapters.__class__(psycopg.adapters)
    context = type("Context", (), {"adapters": adapters, "connection": None})()
    set_json_dumps(json_bytes, context)
    transformer = Transformer(context)
    found = adapters.types[name.removesuffix("[]")]
    transformer.set_dumper_types([found.array_oid if name.endswith("[]") else found.oid], psycopg.pq.Format.BINARY)
    return transformer.dump_sequence([value], [PyFormat.BINARY])[0]


@pytest.mark.parametrize("name", PACKERS)
@given(data=st.data())
def test_a_packed_value_is_what_psycopg_writes(name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[name])
    assert PACKERS[name](value) == written(name, value)


def test_an_array_of_keys_is_not_empty() -> None:
    assert len(PACKERS["uuid[]"]([uuid.UUID(int=1), uuid.UUID(int=2)])) == 20 + 2 * 20
