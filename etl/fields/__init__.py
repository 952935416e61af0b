"""Paths of a record → fields that read one column each; an unreadable value becomes null, a flag and drift."""

from etl.fields.amounts import MAX_CALL_SECONDS, costs, decimal_of, money, number, seconds
from etl.fields.columns import identity, json, name, number_of, phone_number, text, utc
from etl.fields.derived import SENTIMENT, SUMMARY, all_of, between, constant, in_analysis, is_over
from etl.fields.enums import is_live, known_word, one_of, outcome, status_outcome, word_at
from etl.fields.values import flag_unknown_value, flag_wrong_type, is_empty, is_false, is_true, is_unset, json_type

__all__ = [
    "MAX_CALL_SECONDS", "SENTIMENT", "SUMMARY", "all_of", "between", "constant", "costs", "decimal_of",
    "flag_unknown_value", "flag_wrong_type", "identity", "in_analysis", "is_empty", "is_false", "is_live", "is_over",
    "is_true", "is_unset", "json", "json_type", "known_word", "money", "name", "number", "number_of", "one_of",
    "outcome", "phone_number", "seconds", "status_outcome", "text", "utc", "word_at",
]  # fmt: skip
