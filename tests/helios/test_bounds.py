"""Every value of a document has a bound, which is checked before anything is computed with the value."""

import json
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.documents import LARGE, judge_all
from helios.bounded_json import MAX_DEPTH, MAX_FIELDS, MAX_VALUES, OutOfBoundsError, check_bounds, read_json
from helios.errors import MOST_PROBLEMS, HeliosError, RequestError, SpecError
from helios.job.planning import plan_job
from helios.job.source import parse_job_spec
from helios.models.command_line import MAX_COMMAND, split_command
from helios.sizes import parse_size
from tasks.request.request import RenderRequest
from testbed.jobs import make_job, write_job

MEBIBYTE = 2**20


def _with(path: str, value: Any) -> dict[str, Any]:
    """A sound document with one field changed: `chunks.0.command`."""
    document: Any = make_job((1,), outputFile="film.mp4")
    *names, last = path.split(".")
    place = document
    for name in names:
        place = place[int(name)] if name.isdigit() else place.setdefault(name, {})
    place[int(last) if last.isdigit() else last] = value
    return dict(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.fps", "1e1000000000"),  # minutes under the interpreter's lock
        ("metadata.fps", "1e-1000000000"),
        ("metadata.fps", "1" * 4000 + "/3"),
        ("metadata.duration", 1e300),
        ("metadata.title", "a" * (3 * MEBIBYTE)),
        ("metadata.deep", json.loads("[" * 900 + "]" * 900)),  # could not be written again
        ("chunks.0.command", "a" * (MAX_COMMAND + 1)),
        ("chunks.0.startFrame", 10**4000),
        ("chunks.0.id", 2**60),
        ("chunks.0.outputFile", "a/" * 100 + "b.mp4"),
        ("chunks.0.inputs", ["a"] * 10_001),
        ("inputs", ["a/" * 100 + "b"]),
        ("delivery.fragments", "1" * 5000),
        ("delivery.metadata.creation_time", "0001-01-01T00:00:00+10:00"),
        ("assetsUrl", "s3://" + "a" * 10_000),
    ],
    ids=lambda value: str(value)[:30],
)
def test_values_have_bounds(path: str, value: Any) -> None:
    """A value beyond its bound is refused with its place, quoted in part."""
    with pytest.raises(SpecError) as refusal:
        parse_job_spec(json.dumps(_with(path, value)).encode(), source="job")
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize(
    "text",
    [
        "1" * 100,
        "0." + "3" * 100,
        "1e999",
        "[" * 100_000 + "]" * 100_000,
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    ],
    ids=["long", "long fraction", "infinite", "100,000 deep", "one too deep"],
)
def test_numbers_and_depth_have_bounds(text: str) -> None:
    """A long or infinite number, and arrays too deep inside each other, are refused, whoever asks."""
    with pytest.raises(OutOfBoundsError):
        read_json(f'{{"a": {text}}}')


def test_a_value_out_of_bounds_is_named() -> None:
    """The refusal says where the value is."""
    with pytest.raises(OutOfBoundsError, match=r"^metadata\.list\[2\]: a whole number of 201 bits;"):
        check_bounds({"metadata": {"list": [0, 1, 2**200]}})
    with pytest.raises(OutOfBoundsError, match=f"an object of {MAX_FIELDS + 1} fields"):
        check_bounds({str(index): 0 for index in range(MAX_FIELDS + 1)})


def test_brackets_in_texts_are_no_values() -> None:
    """What stands in a text, such as a filter graph of ffmpeg, does not count as a value of the document."""
    graph = "[0:v][1:v],{}" * (MAX_VALUES // 40)
    assert read_json(json.dumps([graph] * 11)) == [graph] * 11


def test_problems_are_cut() -> None:
    """Of many bad chunks the first are named, and the rest is not looked at."""
    document = make_job([1] * 20_000)
    for chunk in document["chunks"]:
        chunk |= {"id": -1, "command": "", "colour": "red"}
    with pytest.raises(SpecError) as refusal:
        parse_job_spec(json.dumps(document).encode(), source="job")
    assert MOST_PROBLEMS <= len(refusal.value.problems) < 2 * MOST_PROBLEMS
    assert refusal.value.problems[0].path == "chunks[0].id"
    assert " problems or more" in str(refusal.value)


@pytest.mark.parametrize("name", ["chunk_timeout_seconds", "stall_timeout_seconds", "overdue_seconds"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, 10**400])
def test_parameters_have_bounds(tmp_path: Path, name: str, value: float) -> None:
    """Numbers that pass the bounds of an option or a form, as `nan` does, are refused before the job is read."""
    request = RenderRequest(str(write_job(tmp_path, make_job())), **{name: value})  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=name):
        request.check()


def test_texts_of_options_have_bounds() -> None:
    """A size of 5,000 digits, and a width of a number in a template that would fill the memory, are refused."""
    with pytest.raises(RequestError, match="not a size"):
        parse_size("9" * 5000 + " GB")
    with pytest.raises(RequestError, match="no form of a number"):
        plan_job([1], fps="30", width=2, height=2, command="true", output_pattern="{index:0999999999d}.mp4")


@given(text=st.text(alphabet="ab '\"\\\t\n\r#$é", max_size=14))
@settings(max_examples=500)
def test_commands_are_split_as_shlex_does(text: str) -> None:
    """The words are those of `shlex.split`, which takes 100 s for 30 MB."""
    try:
        expected = tuple(shlex.split(text))
    except ValueError:
        expected = ()
    if expected and expected[0]:
        assert split_command(text) == expected
    else:
        with pytest.raises(ValueError, match="a command"):
            split_command(text)


FIELDS = ("metadata.fps", "metadata.x", "metadata.width", "chunks", "chunks.0", "chunks.0.id", "chunks.0.outputFile",
          "chunks.0.command", "chunks.0.inputs", "id", "inputs", "revision", "delivery", "delivery.metadata",
          "delivery.fragments", "outputFile", "mergeCommand", "assetsUrl", "unknown")  # fmt: skip


@given(path=st.sampled_from(FIELDS), make=st.sampled_from(LARGE), size=st.integers(0, 17).map(lambda power: 2**power))
@settings(max_examples=60, deadline=5000)
def test_any_size_of_any_value(path: str, make: Callable[[int], Any], size: int) -> None:
    """Whatever the size of whatever value: the document is sound or refused, soon, and in a short message."""
    try:
        spec = parse_job_spec(json.dumps(_with(path, make(size))).encode(), source="job")
    except HeliosError as exc:
        refusal = str(exc)
    else:
        refusal = ""
        assert parse_job_spec(json.dumps(spec.to_document()).encode(), source="job") == spec
    assert len(refusal) < 50_000


def test_mutated_documents() -> None:
    """Mutated documents are sound or refused; `python -m faults.documents` tries 100,000."""
    wrong = [one for one in judge_all(range(200)) if one.kind not in ("sound", "refused")]
    assert wrong == []


def _large() -> Iterator[tuple[str, bytes]]:
    """Documents of up to 64 MiB, each of which took minutes or gigabytes."""

    def chunk(index: int, **fields: Any) -> dict[str, Any]:
        made = {"id": index, "startFrame": index, "frameCount": 1, "outputFile": f"c{index}.mp4", "command": "true"}
        return made | fields

    def chunks(count: int, **fields: Any) -> bytes:
        document = make_job((1,)) | {"chunks": [chunk(index, **fields) for index in range(count)]}
        document["metadata"]["totalFrames"] = count
        return json.dumps(document).encode()

    yield "one word", chunks(1, command="a" * (30 * MEBIBYTE))
    yield "short words", chunks(60, command="a " * (MEBIBYTE // 2))
    yield "escapes", chunks(40, command="\\a" * (MEBIBYTE // 2))
    yield "bad chunks", b'{"metadata":{},"chunks":[' + b",".join([b'{"a":1,"b":2}'] * 99_999) + b"]}"
    yield "empty lists", b"[" + b"[]," * (21 * MEBIBYTE) + b"0]"
    yield "fields", json.dumps({f"k{index}": 0 for index in range(4_000_000)}).encode()
    yield "wide", json.dumps(["\U0001f600" + "a" * (60 * MEBIBYTE)], ensure_ascii=False).encode()
    yield "many chunks", chunks(100_000, command="render " + "x" * 540)
    yield "folders", chunks(100_000, outputFile="a/../" * 60 + "b.mp4")
    yield "long number", b"[" + b"1" * (60 * MEBIBYTE) + b"]"


JUDGE = """
import resource, sys
from helios.errors import HeliosError
from helios.job.source import load_job_spec
try:
    load_job_spec(sys.argv[1])
    print("sound")
except HeliosError as exc:
    print(str(exc)[:200])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_large_documents_take_little(tmp_path: Path) -> None:
    """Validating any 64 MiB ends, and stays within 500 MB; a process that needs a minute of CPU is ended."""
    for name, data in _large():
        assert len(data) <= 64 * MEBIBYTE, name
        path = tmp_path / "job.json"
        path.write_bytes(data)
        done = subprocess.run(
            [sys.executable, "-c", JUDGE, str(path)],
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (60, 60)),
            check=False,
        )
        assert done.returncode == 0, (name, done.stderr)
        assert int(done.stdout.splitlines()[-1]) < 500 * 10**6, (name, done.stdout)
