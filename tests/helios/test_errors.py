"""Every failure has a kind, stated once, and the drawn tree of errors is right."""

import ast
import errno
import os
import pickle
import tomllib
from pathlib import Path

import pytest

import helios.errors
from helios.errors import (
    CommandError,
    CommandStalledError,
    CommandTimeoutError,
    Failure,
    HeliosError,
    OutputError,
    RequestError,
    RetryBudget,
    SpecError,
    WorkerUnavailableError,
    file_system_error,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("error", "kind", "budget", "command_ran"),
    [
        (RequestError, "request", RetryBudget.NONE, False),
        (SpecError, "request", RetryBudget.NONE, False),
        (CommandError, "command", RetryBudget.CHUNK, True),
        (CommandTimeoutError, "timeout", RetryBudget.CHUNK, True),
        (CommandStalledError, "stalled", RetryBudget.CHUNK, True),
        (OutputError, "output", RetryBudget.CHUNK, True),
        (WorkerUnavailableError, "unavailable", RetryBudget.ENVIRONMENT, False),
    ],
)
def test_what_a_kind_says(error: type[HeliosError], kind: str, budget: RetryBudget, command_ran: bool) -> None:
    """A kind has a fixed name, a budget of retries, and says whether the command ran."""
    assert error.failure == kind
    assert (error.failure.budget, error.failure.command_ran) == (budget, command_ran)


@pytest.mark.parametrize("kind", Failure)
def test_every_kind_has_an_error(kind: Failure) -> None:
    """Each kind makes its error from a message alone, also after the kind was pickled."""
    error = pickle.loads(pickle.dumps(kind)).error("it broke")  # noqa: S301  our own
    assert (error.failure, str(error)) == (kind, "it broke")


def test_a_class_without_a_kind_can_t_be_written() -> None:
    """An error class without a valid kind is refused at its definition, with what to do."""
    with pytest.raises(TypeError, match="MeltedError has no kind of failure; derive it from RequestError"):
        type("MeltedError", (HeliosError,), {})
    with pytest.raises(TypeError, match="MeltedError has no kind of failure"):
        type("MeltedError", (HeliosError,), {"failure": "command"})
    with pytest.raises(TypeError, match="MeltedError has no kind of failure"):
        type("MeltedError", (CommandError,), {"failure": None})


def test_an_error_without_a_kind_can_t_be_made() -> None:
    """The base class of all failures can't be raised itself."""
    with pytest.raises(TypeError, match="raise one of its subclasses"):
        HeliosError("it broke")


def test_a_kind_is_inherited_or_stated() -> None:
    """A third party's class inherits or states a kind, and does not replace the kind's own class."""

    class NodeGoneError(WorkerUnavailableError):
        """Inherits."""

    class NodeBusyError(HeliosError):
        """States."""

        failure = Failure.UNAVAILABLE

    assert NodeGoneError("x").failure is NodeBusyError("x").failure is Failure.UNAVAILABLE
    assert type(Failure.UNAVAILABLE.error("x")) is WorkerUnavailableError


def test_the_tree_shows_every_class() -> None:
    """The docstring of helios.errors names each class of every room, below its parent."""
    parents = _parents()
    tree: dict[str, str] = {}
    path: list[str] = []
    for line in (helios.errors.__doc__ or "").splitlines():
        name = line.lstrip(" │├└─").split(" ")[0]
        if line.startswith("    ") and name.endswith("Error"):
            depth = (line.index(name) - 4) // 4
            path = [*path[:depth], name]
            tree[name] = path[depth - 1] if depth else "Exception"
    assert tree == parents


def _parents() -> dict[str, str]:
    """The parent of each class of the tree, as the sources have it."""
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    bases: dict[str, str] = {}
    for file in (file for room in rooms if room != "tests" for file in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and node.bases and isinstance(node.bases[0], ast.Name):
                bases[node.name] = node.bases[0].id
    tree = {"ExpectedError": bases["ExpectedError"]}
    while more := {name: base for name, base in bases.items() if base in tree and name not in tree}:
        tree |= more
    return tree


def test_errors_of_the_file_system_that_last(tmp_path: Path) -> None:
    """What another attempt meets again is the request's fault; a full disk, and a file that is gone, are not."""
    for code in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR):
        found = file_system_error(OSError(code, os.strerror(code), "/ro/part.mp4"))
        assert isinstance(found, RequestError)
        assert "/ro/part.mp4" in str(found)
    assert isinstance(file_system_error(OSError(errno.ENOENT, "gone", str(tmp_path / "no/x"))), RequestError)
    for passing in (OSError(errno.ENOSPC, "full", "/x"), OSError(errno.ENOENT, "gone", str(tmp_path / "x"))):
        assert isinstance(file_system_error(passing), WorkerUnavailableError)
