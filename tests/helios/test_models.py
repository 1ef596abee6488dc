"""The job document: a valid document stays as it is, an invalid one is refused with path, value and expectation."""

import json
import shlex
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios.errors import Problem, SpecError
from helios.job.planning import plan_job
from helios.job.source import load_job_spec
from helios.models import JobSpec
from testbed.jobs import make_job

EMITTED = sorted((Path(__file__).parents[1] / "helios_jobs").glob("*.json"))


def problems(document: dict[str, Any]) -> list[Problem]:
    with pytest.raises(SpecError) as refusal:
        load_job_spec(document)
    return list(refusal.value.problems)


@pytest.mark.parametrize("path", EMITTED, ids=lambda path: path.stem)
def test_what_helios_emits_is_valid_as_it_stands(path: Path) -> None:
    """A document of `helios render --emit-job` is read, and written again without a change."""
    spec = load_job_spec(str(path))
    assert spec.to_document() == json.loads(path.read_text())


def test_the_emitted_documents_are_there() -> None:
    """The three documents cover an uneven last chunk and a start frame above 0."""
    specs = {path.stem: load_job_spec(str(path)) for path in EMITTED}
    assert [chunk.frame_count for chunk in specs["seven-chunks"].chunks] == [18] * 6 + [12]
    assert specs["start-frame"].ordered_chunks[0].start_frame == 60
    assert specs["numbered"].id is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (30, Fraction(30)),
        (29.97, Fraction(2997, 100)),
        (30000 / 1001, Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("25", Fraction(25)),
        (0.5, Fraction(1, 2)),
    ],
)
def test_frame_rates_are_exact(written: float | str, meant: Fraction) -> None:
    """A rate is a number or a rational string, and is kept as the fraction that it means."""
    assert load_job_spec(make_job(fps=written)).metadata.fps == meant


@pytest.mark.parametrize("written", [0, -1, "0/0", "1/0", "fast", True, None, [30], 1001, "30,0"])
def test_frame_rates_that_are_none_are_refused(written: object) -> None:
    """A value that is not a frame rate is refused with its path and what was expected."""
    document = make_job()
    document["metadata"]["fps"] = written
    (problem,) = problems(document)
    assert problem.path == "metadata.fps"
    assert "frame rate" in problem.expected


def test_both_spellings_are_read() -> None:
    """Fields may be written in camelCase or snake_case."""
    document = make_job()
    document["chunks"][0]["start_frame"] = document["chunks"][0].pop("startFrame")
    document["metadata"]["total_frames"] = document["metadata"].pop("totalFrames")
    assert load_job_spec(document) == load_job_spec(make_job())


def test_unknown_fields_are_refused_except_in_metadata() -> None:
    """A misspelled field is named; metadata may hold what the renderer likes."""
    document = make_job(outputfile="x.mp4")
    document["metadata"]["title"] = "Orrery"
    (problem,) = problems(document)
    assert problem.path == "outputfile"
    del document["outputfile"]
    assert load_job_spec(document).to_document()["metadata"]["title"] == "Orrery"


def test_specs_are_frozen() -> None:
    """A spec can't be changed after it was validated."""
    spec = load_job_spec(make_job())
    with pytest.raises(ValueError, match="frozen"):
        spec.id = "other"  # type: ignore[misc]


def change(index: int, **fields: Any) -> dict[str, Any]:
    document = make_job()
    document["chunks"][index] |= fields
    return document


@pytest.mark.parametrize(
    ("document", "path", "found", "expected"),
    [
        (change(1, id=0), "chunks[1].id", "0", "unique"),
        (change(1, outputFile="chunk 0.mp4"), "chunks[1].outputFile", "chunk 0.mp4", "of its own"),
        (change(1, outputFile="./chunk 0.mp4"), "chunks[1].outputFile", "chunk 0.mp4", "of its own"),
        (change(0, frameCount=0), "chunks[0].frameCount", "0", "greater than or equal to 1"),
        (change(0, frameCount="10"), "chunks[0].frameCount", '"10"', "integer"),
        (change(0, startFrame=-1), "chunks[0].startFrame", "-1", "greater than or equal to 0"),
        (change(2, command=""), "chunks[2].command", '""', "a program"),
        (change(2, command="   "), "chunks[2].command", "   ", "a program"),
        (change(2, command="render 'x"), "chunks[2].command", "render 'x", "No closing quotation"),
        (change(0, outputFile="../x.mp4"), "chunks[0].outputFile", "../x.mp4", "inside the job directory"),
        (change(0, outputFile="a/../../x.mp4"), "chunks[0].outputFile", "x.mp4", "inside the job directory"),
        (change(0, outputFile="/tmp/x.mp4"), "chunks[0].outputFile", "/tmp/x.mp4", "inside the job directory"),
        (change(0, outputFile=""), "chunks[0].outputFile", '""', "a file's path"),
        (change(0, outputFile="a/"), "chunks[0].outputFile", "a/", "a file's path"),
        (change(0, outputFile=".helios/x.mp4"), "chunks[0].outputFile", ".helios", "outside .helios"),
        (change(0, outputFile="a\ud800.mp4"), "chunks[0].outputFile", "a\ud800.mp4", "whole characters"),
        (change(0, outputFile="x" * 256), "chunks[0].outputFile", "xxx", "255 bytes"),
        (make_job(outputFile="chunk 1.mp4"), "chunks[1].outputFile", "outputFile", "of its own"),
        (make_job(outputFile="../v.mp4"), "outputFile", "../v.mp4", "inside the job directory"),
        (make_job(mergeCommand="merge 'x"), "mergeCommand", "merge 'x", "No closing quotation"),
        (
            change(0, outputFile="out\\v.mp4", command="render -o out\\v.mp4"),
            "chunks[0].command",
            r"'outv.mp4' instead of 'out\\v.mp4'",
            "/ between folders, or quotes",
        ),
        (make_job(id="x" * 201), "id", "xxx", "at most 200 characters"),
        ({"metadata": make_job()["metadata"], "chunks": []}, "chunks", "empty", "at least one chunk"),
        ({"chunks": make_job()["chunks"]}, "metadata", "missing", "a value"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], path: str, found: str, expected: str) -> None:
    """Each refusal says where, what stands there, and what would be right."""
    (problem, *_) = problems(document)
    assert problem.path == path
    assert found in problem.found
    assert expected in problem.expected


def test_gaps_overlaps_and_sums_are_named() -> None:
    """Frames that no chunk or that two chunks render are refused, and so is a total that is not the sum."""
    document = make_job((10, 10, 10))
    document["chunks"][1]["startFrame"] = 12
    gap, overlap = problems(document)
    assert (gap.path, gap.found) == ("chunks[1].startFrame", "12, a gap")
    assert gap.expected == "10, one past the frames 0 to 9 of chunk 0"
    assert (overlap.path, overlap.found) == ("chunks[2].startFrame", "20, an overlap")
    document = make_job()
    document["metadata"]["totalFrames"] = 31
    (total,) = problems(document)
    assert (total.path, total.found) == ("metadata.totalFrames", "31")
    assert total.expected.startswith("30,")


def test_every_problem_is_listed() -> None:
    """One message lists every problem, not the first alone, in a bounded number of lines."""
    document = make_job([1] * 50)
    for chunk in document["chunks"]:
        chunk["command"] = ""
    with pytest.raises(SpecError) as refusal:
        load_job_spec(document)
    lines = str(refusal.value).splitlines()
    assert lines[0] == "job: 50 problems"
    assert len(lines) == 22
    assert lines[-1].strip() == "… and 30 more"


SIZES = st.lists(st.integers(1, 500), min_size=1, max_size=40)
RATES = st.one_of(
    st.integers(1, 240),
    st.sampled_from(["24000/1001", "30000/1001", "60000/1001", 29.97, 23.976, 12.5]),
)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0{}"), max_size=12)


@given(sizes=SIZES, start=st.integers(0, 10**6), fps=RATES, data=st.data())
def test_sound_specs_survive_the_wire(sizes: list[int], start: int, fps: float | str, data: st.DataObject) -> None:
    """Any sound spec, its chunks in any order, is read and written without a change."""
    document = make_job(sizes, start=start, fps=fps)
    document["chunks"] = data.draw(st.permutations(document["chunks"]))
    spec = load_job_spec(json.loads(json.dumps(document)))
    assert JobSpec.model_validate(json.loads(json.dumps(spec.to_document()))) == spec
    frames = [frame for chunk in spec.ordered_chunks for frame in range(chunk.start_frame, chunk.end_frame)]
    assert frames == list(range(start, start + sum(sizes)))


@given(sizes=st.lists(st.integers(1, 50), min_size=2, max_size=20), data=st.data())
def test_a_moved_chunk_is_always_refused(sizes: list[int], data: st.DataObject) -> None:
    """A shifted or resized chunk leaves frames uncovered or covered twice, and is always refused."""
    document = make_job(sizes, start=100)
    chunk = document["chunks"][data.draw(st.integers(0, len(sizes) - 1))]
    field = data.draw(st.sampled_from(["startFrame", "frameCount"]))
    chunk[field] += data.draw(st.integers(-99, 99).filter(lambda by: by != 0 and chunk[field] + by >= 1))
    assert problems(document)


@given(words=st.lists(WORDS, min_size=1, max_size=6).filter(lambda words: words[0] != ""))
def test_any_words_survive_a_command(words: list[str]) -> None:
    """Words that are quoted into a template come out of the command unchanged, whatever characters they have."""
    spec = plan_job([1], fps="30", width=2, height=2, command=shlex.join(words), output_pattern="o.mp4")
    assert list(spec.chunks[0].argv) == words


def test_an_empty_text_is_none() -> None:
    """Helios writes an empty text for none: every optional text of a document may be empty."""
    names = ("id", "mergeCommand", "merge_command", "assetsUrl", "outputFile", "verify", "revision")
    spec = load_job_spec({**make_job(), **dict.fromkeys(names, "")})
    assert spec == load_job_spec(make_job())
    assert [problem.path for problem in problems({**make_job(), "metadata": ""})] == ["metadata"]
    delivery = JobSpec.model_validate(make_job(delivery={"brand": "", "fragments": ""})).delivery
    assert delivery is not None
    assert (delivery.brand, delivery.fragments) == (None, None)


def test_an_image_holds_one_frame() -> None:
    """A chunk of several frames whose output is an image is refused; one of one frame is not."""
    (found,) = problems(make_job((1, 6), suffix=".png"))
    assert (found.path, found.found) == ("chunks[1].outputFile", "'chunk 1.png', an image, for 6 frames")
