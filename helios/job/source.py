"""Read a job document from a path, a URL or an object, and refuse it in words that help."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from helios.bounded_json import OutOfBoundsError, check_bounds, read_json
from helios.errors import Problem, RequestError, SpecError
from helios.models.frame_numbers import SpecRefusedError
from helios.models.paths import PathRules
from helios.models.spec import JobSpec
from helios.regular_file import NotRegularError, open_regular
from helios.storage.by_url import read_url
from helios.storage.urls import is_storage_url, split_url
from helios.web import fetch
from helios.web_urls import origin_of

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MOST_ERRORS = 10_000
"""Of a document's fields. More are counted alone."""
QUOTED = 120
"""Characters of a value that a message quotes."""
TEMPLATE_HEAD = 64 * 1024
"""Bytes of a file that is no JSON in which the version of a template is looked for."""
_TEMPLATE = re.compile(rb"""["']?specificationVersion["']?\s*:\s*["']?(\w{1,40}-[\d-]{1,20})""")
SECRET = re.compile("secret|token|password|_key|credentials|Key")
"""Fields whose values no message quotes."""


def load_job_spec(source: str | Path | Mapping[str, Any], *, levels: int = 0) -> JobSpec:
    """Fetch and validate a job document.

    Args:
        source: A path, an http(s), s3, gs or file URL, or the document as an object.
        levels: How many folders above the document's own its paths may lead.

    Raises:
        SpecError: The document is not a sound job; lists every reason.
        RequestError: There is no document there.
        WorkerUnavailableError: The server that has it did not answer.
    """
    if isinstance(source, Mapping):
        return validate_job_spec(source, source="job")
    is_file = not (isinstance(source, str) and (is_url(source) or is_storage_url(source)))
    rules = PathRules(levels, Path(source).resolve().parent) if is_file else PathRules()
    return parse_job_spec(read_document(source), source=str(source), rules=rules)


def is_url(source: str) -> bool:
    """Whether a source is fetched over HTTP rather than read from disk."""
    return source.startswith(("http://", "https://"))


def check_assets_url(url: str) -> None:
    """Refuse an `assetsUrl` that no worker can fetch.

    Raises:
        RequestError: Says what is expected.
    """
    if is_storage_url(url):
        split_url(url)
    elif is_url(url) and url.endswith(".json"):
        origin_of(url)
    else:
        raise RequestError(
            f"assetsUrl: {url!r} can't be fetched by workers; expected a folder in storage (s3://, gs:// or gcs://, "
            "file:// or local://), or the http(s) address of a list of input files that ends in .json"
        )


def read_document(source: str | Path) -> bytes:
    """Read a document's bytes from a path, an http(s) URL or a storage URL; at most 64 MiB.

    Args:
        source: Where it is. An http(s) server may send the reader to another address of its own.

    Raises:
        RequestError: There is nothing to read, or too much.
        WorkerUnavailableError: The server did not answer.
    """
    if isinstance(source, str) and is_storage_url(source):
        return read_url(source, limit=MAX_DOCUMENT_BYTES)
    is_remote = isinstance(source, str) and is_url(source)
    data = fetch(str(source), limit=MAX_DOCUMENT_BYTES) if is_remote else _read_file(Path(source))
    if len(data) > MAX_DOCUMENT_BYTES:
        raise RequestError(f"{source}: more than 64 MiB; expected a job document of at most 64 MiB")
    return data


def parse_job_spec(data: bytes, *, source: str, rules: PathRules | None = None) -> JobSpec:
    """Validate a job document given as JSON text.

    Raises:
        SpecError: It is not JSON, or not a sound job.
    """
    return _validated(parse_document(data, source=source), source, rules)


def parse_document(data: bytes, *, source: str) -> dict[str, Any]:
    """Read the JSON object of a job document, without looking at its fields.

    Raises:
        SpecError: It is not JSON, or no object.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise RequestError(f"{source}: more than 64 MiB; expected a job document of at most 64 MiB")
    try:
        document = read_json(data)
    except OutOfBoundsError as exc:
        raise SpecError(source, (Problem(exc.path, exc.found, exc.expected),)) from None
    except json.JSONDecodeError as exc:
        _refuse_template(data[:TEMPLATE_HEAD], source)
        where = f"line {exc.lineno}, column {exc.colno}"
        problem = Problem("", f"not JSON ({exc.msg} at {where}; it begins {_start(data)})", "a JSON job document")
        raise SpecError(source, (problem,)) from None
    except ValueError as exc:
        problem = Problem("", f"not JSON ({exc}; it begins {_start(data)})", "a JSON job document in UTF-8")
        raise SpecError(source, (problem,)) from None
    if not isinstance(document, dict):
        problem = Problem("", f"a JSON {_json_type(document)}", "an object with metadata and chunks")
        raise SpecError(source, (problem,))
    if "specificationVersion" in document and "metadata" not in document:
        _refuse_template(data, source)
    return document


def _refuse_template(data: bytes, source: str) -> None:
    """Refuse a template of Open Job Description with what to do; do nothing for anything else."""
    if found := _TEMPLATE.search(data):
        raise RequestError(
            f"{source} is a template of Open Job Description ({found[1].decode()}), and no job document; "
            "`helios-job openjd` makes a job document of a job template (docs/openjd.md)"
        )


def validate_job_spec(document: Mapping[str, Any], *, source: str, rules: PathRules | None = None) -> JobSpec:
    """Validate a job document given as an object.

    Raises:
        SpecError: It is not a sound job; lists every reason.
    """
    try:
        check_bounds(document)
    except OutOfBoundsError as exc:
        raise SpecError(source, (Problem(exc.path, exc.found, exc.expected),)) from None
    return _validated(document, source, rules)


def _validated(document: Mapping[str, Any], source: str, rules: PathRules | None) -> JobSpec:
    try:
        return JobSpec.model_validate(document, context=rules)
    except ValidationError as exc:
        raise SpecError(source, describe(exc)) from None


def describe(error: ValidationError, *, of: str = "of the job format (see docs/jobs.md)") -> tuple[Problem, ...]:
    """Turn pydantic's errors into problems: path, value, expectation.

    Args:
        error: Pydantic's.
        of: Whose fields are expected, where there is one that is not known.
    """
    problems: list[Problem] = []
    if error.error_count() > MOST_ERRORS:
        # Making them readable would take longer than finding them.
        return (Problem("", f"{error.error_count()} errors", f"only fields and values {of}"),)
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, SpecRefusedError):
            problems.extend(cause.problems)
        else:
            problems.append(_problem(detail, of))
    return tuple(problems)


def _problem(detail: ErrorDetails, of: str) -> Problem:
    path = ""
    for part in detail["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    shown = "a value that is not shown" if SECRET.search(path) else _quote(detail["input"])
    match detail["type"]:
        case "missing":
            return Problem(path, "missing", "a value")
        case "extra_forbidden":
            return Problem(path, "an unknown field", f"only fields {of}")
        case "value_error":
            return Problem(path, shown, str(detail["ctx"]["error"]))
        case _:
            expected = re.sub("^(Input should be|String should have) ", "", detail["msg"])
            return Problem(path, shown, expected[:1].lower() + expected[1:])


def _quote(value: object) -> str:
    if isinstance(value, list | dict | tuple):
        return f"{_json_type(value)} of {len(value)}"
    if isinstance(value, str):
        value = value[:QUOTED]  # before it is quoted: it may have millions of characters
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= QUOTED else text[: QUOTED - 3] + "…"


def _json_type(value: object) -> str:
    names = {
        dict: "object",
        list: "array",
        tuple: "array",
        str: "string",
        bool: "boolean",
        type(None): "null",
    }
    return names.get(type(value), "number")


def _start(data: bytes) -> str:
    return repr(data[:40].decode("utf-8", "replace")) if data else "with nothing: it is empty"


def _read_file(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except NotRegularError:
        raise RequestError(f"{path} is not a regular file; expected a JSON job document") from None
    except FileNotFoundError:
        raise RequestError(f"{path} does not exist; expected the path of a JSON job document") from None
    except IsADirectoryError:
        raise RequestError(f"{path} is a directory; expected the path of a JSON job document") from None
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise RequestError(f"{path} cannot be read ({reason}); expected a JSON job document") from None
