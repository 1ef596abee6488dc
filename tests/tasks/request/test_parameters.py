"""A parameter is described once: the form, the options and the README say the same."""

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from cli.run import run
from cli.submit import submit
from flows.render import render_job
from tasks.request.parameters import PARAMETERS
from tasks.request.readme_table import readme_table
from tasks.request.request import RenderRequest

README = Path(__file__).parents[3] / "README.md"
SIGNATURE = inspect.signature(render_job.fn).parameters


def test_the_flow_the_request_and_the_table_have_the_same_parameters() -> None:
    """The flow, the request and the table have the same parameters, in the same order, with the same defaults."""
    assert list(SIGNATURE) == list(PARAMETERS) == [field.name for field in fields(RenderRequest)]
    for field in fields(RenderRequest)[1:]:
        assert SIGNATURE[field.name].default == field.default, field.name


def test_the_form_shows_title_and_description() -> None:
    """The flow's schema, from which Prefect draws its form, has every parameter's title and description."""
    schema: dict[str, Any] = render_job.parameters.model_dump()["properties"]
    assert set(schema) == set(PARAMETERS)
    for name, parameter in PARAMETERS.items():
        assert schema[name]["title"] == parameter.title
        assert schema[name]["description"] == parameter.form_text


@pytest.mark.parametrize("command", [run, submit])
def test_every_parameter_has_its_option(command: click.Command) -> None:
    """Every parameter has an option with its text as help, unless the option says the opposite or a part of it."""
    options = {name: option for option in command.params for name in option.opts}
    for parameter in PARAMETERS.values():
        if parameter.option is None:
            continue
        option = options[parameter.option]
        assert isinstance(option, click.Option)
        assert option.help
        if parameter.option not in ("--adapter", "--no-merge", "--chunk"):
            assert option.help == parameter.help


def test_the_readme_has_the_table() -> None:
    """The README has the table that `python -m tasks.request.readme_table` prints."""
    assert readme_table() in README.read_text(encoding="utf-8")
