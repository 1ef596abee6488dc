"""Documents filled with the values of a row."""

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios.batch.rows import Row
from helios.batch.template import Template
from helios.errors import RequestError


def filled(document: dict[str, Any], **values: str) -> Any:
    return Template(document, source="t.json").fill(Row(7, values))


@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_a_value_stays_in_its_word(value: str) -> None:
    """Whatever a value is, it is one word of the command, or a part of one."""
    command = filled({"command": "r {name} --to='{name}.mp4' {row}"}, name=value)["command"]
    assert shlex.split(command) == ["r", value, f"--to={value}.mp4", "7"]


def test_braces() -> None:
    """Braces that are no names stay, and so do those of a doubled pair; a value's own braces are no names."""
    document = filled({"command": """r '{"a": "{name}"}' {} {{name}}""", "outputFile": "{name}.mp4"}, name="{row}")
    assert shlex.split(document["command"]) == ["r", '{"a": "{row}"}', "{}", "{name}"]
    assert document["outputFile"] == "{row}.mp4"


def test_every_text_is_filled() -> None:
    """Names are replaced in texts of every depth, and not in names of fields; numbers stay."""
    document = filled({"{a}": 1, "chunks": [{"outputFile": "{a}-{row}.mp4"}], "delivery": {"title": "{a}!"}}, a="x")
    assert document["chunks"] == [{"outputFile": "x-7.mp4"}]
    assert document["delivery"] == {"title": "x!"}
    assert document["{a}"] == 1


def test_a_row_has_an_id_of_its_own() -> None:
    """The id is the template's with a digest of the row's document, unless it names a column: equal rows, equal ids."""
    first, again, other = (filled({"id": "film", "command": "{a}"}, a=value)["id"] for value in ("x", "x", "y"))
    assert first == again != other
    assert first.startswith("film-")
    assert filled({"id": "film {a}"}, a="x")["id"] == "film x"
    assert filled({"command": "{a}"}, a="x")["id"].startswith("batch-")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"command": "r"}, r"t.json names no column of t.csv.*such as \{name\}"),
        (
            {"chunks": [{}, {"command": "r {nam}"}]},
            r"row 7: no column 'nam', which t.json names in chunks\[1\].command",
        ),
    ],
)
def test_templates_that_do_not_fit_the_table(document: dict[str, Any], said: str) -> None:
    """A template that names no column, or one that a row does not have, is refused with the place."""
    with pytest.raises(RequestError, match=said):
        Template(document, source="t.json").check([Row(7, {"name": "a"})], table="t.csv")


@pytest.mark.parametrize("value", ["../b", "a/b", "a\\b", "/etc/x"])
def test_a_value_leads_no_file_elsewhere(value: str) -> None:
    """A value with a slash makes no part of an output's name."""
    with pytest.raises(RequestError, match="has a slash in it"):
        filled({"outputFile": "{name}.mp4"}, name=value)
    assert filled({"command": "r {name}"}, name=value)["command"]
