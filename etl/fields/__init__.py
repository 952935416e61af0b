"""Paths of a record → the fields that read one column each; what cannot be read becomes null, a flag and drift."""

from etl.fields.amounts import LONGEST_CALL, costs, decimal_of, money, number, seconds
from etl.fields.columns import identity, json, number_of, phone_number, text, utc
from etl.fields.derived import all_of, between, constant, is_over
from etl.fields.enums import live, meaning_of, one_of, status_outcome, word_at
from etl.fields.values import flag_unknown_value, flag_wrong_type, is_empty, is_false, is_true, json_type

__all__ = [
    "LONGEST_CALL",
    "all_of",
    "between",
    "constant",
    "costs",
    "decimal_of",
    "flag_unknown_value",
    "flag_wrong_type",
    "identity",
    "is_empty",
    "is_false",
    "is_over",
    "is_true",
    "json",
    "json_type",
    "live",
    "meaning_of",
    "money",
    "number",
    "number_of",
    "one_of",
    "phone_number",
    "seconds",
    "status_outcome",
    "text",
    "utc",
    "word_at",
]
