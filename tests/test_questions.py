"""docs/questions.md: each question is one SELECT, asked as a BI tool would, and its result is the one that is shown."""

import os
import re
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from bi import questions
from bi.questions import DOCUMENT, Question
from bi.warehouse import NOON


def result(reader: Connection, question: Question) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    found = reader.exec_driver_sql(question.on(NOON.date()), execution_options={"no_parameters": True})
    return list(found.keys()), [list(row) for row in found]


def test_every_result_in_the_document_is_what_a_reader_of_bi_is_answered(filled: Engine) -> None:
    written = DOCUMENT.read_text("utf-8")
    with filled.begin() as reader:
        reader.exec_driver_sql("SET LOCAL ROLE bi_reader")
        reader.exec_driver_sql("SET LOCAL timezone = 'Asia/Kolkata'")
        answered = questions.with_results(written, lambda question: result(reader, question))
    if os.environ.get("ETL_REGENERATE"):
        DOCUMENT.write_text(answered, "utf-8")
        pytest.skip("written anew")
    assert written == answered


@pytest.mark.parametrize("question", questions.read(), ids=lambda question: question.title)
def test_a_question_is_one_select_without_a_cte_that_finds_something(filled: Engine, question: Question) -> None:
    assert question.sql.startswith("SELECT")
    assert question.sql.count(";") == 1
    assert not re.search(r"\b(WITH\s+(RECURSIVE\s+)?\w+\s+AS|bi_pii|warehouse|raw|ops)\b", question.sql, re.I)
    with filled.begin() as reader:
        assert result(reader, question)[1]


def test_the_document_has_every_question_in_order() -> None:
    numbers = [int(number) for number in re.findall(r"^## (\d+)\. .+\?$", DOCUMENT.read_text("utf-8"), re.M)]
    assert numbers == list(range(1, 21))
    assert len(questions.read()) == 20
