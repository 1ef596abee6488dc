"""A template in place of chunks: what it is cut into, and how a bad one is refused."""

import json
from typing import Any

import pytest

from helios.errors import SpecError
from helios.job.changes import list_changes
from helios.job.source import parse_job_spec, validate_job_spec
from helios.models.cut_points import end_near
from helios.models.spec import JobSpec

COMMAND = "render {start} {count} {output}"


def read(frames: int = 100, **template: Any) -> JobSpec:
    """Read a document with a template."""
    metadata = {"totalFrames": frames, "fps": 30, "width": 64, "height": 64, "duration": 1}
    named = {"command": COMMAND, "outputFile": "part {index:03d}.mp4"}
    return validate_job_spec({"metadata": metadata, "template": named | template}, source="job")


def sizes(spec: JobSpec) -> list[int]:
    """The frames of each chunk."""
    return [chunk.frame_count for chunk in spec.chunks]


def test_chunk_frames_are_cut_at_once() -> None:
    """With chunkFrames the document has the chunks that plan would have made, each with its command and its file."""
    spec = read(chunkFrames=30, startFrame=7, preroll=10, command=f"{COMMAND} {{preroll}} {{preroll_start}} {{index}}")
    assert sizes(spec) == [30, 30, 30, 10]
    assert spec.chunks[0].argv == ("render", "7", "30", "part 000.mp4", "7", "0", "0")
    assert spec.chunks[3].argv == ("render", "97", "10", "part 003.mp4", "10", "87", "3")
    assert not spec.grows


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({"chunkFrames": 30, "cuts": [28, 70, 95]}, [28, 30, 37, 5]),
        ({"chunkFrames": 30, "cuts": [35, 70]}, [35, 35, 30]),
        ({"chunkFrames": 30, "shortest": 20}, [30, 30, 40]),
        ({"chunkFrames": 30, "cuts": [35], "longest": 32}, [30, 30, 30, 10]),
        ({"chunkFrames": 200}, [100]),
    ],
)
def test_chunks_end_at_cuts_that_are_near(template: dict[str, Any], expected: list[int]) -> None:
    """A chunk ends at a cut that is near its wanted end, within the shortest and the longest."""
    assert sizes(read(**template)) == expected


def test_the_chosen_end_is_in_its_bounds() -> None:
    """No cut makes a chunk shorter than half or much longer than wanted, or leads out of the bounds."""
    assert end_near([4, 12, 30], start=0, wanted=10, least=1, most=50) == 12
    assert end_near([4, 14], start=0, wanted=10, least=1, most=50) == 10
    assert end_near([12], start=0, wanted=10, least=1, most=11) == 10
    assert end_near([], start=0, wanted=3, least=5, most=50) == 5


def test_a_document_with_a_template_is_written_as_it_was_read() -> None:
    """What is written has the template and no chunks, and is the same job."""
    for lengths in ({"chunkFrames": 30}, {"targetSeconds": 2.5, "cuts": [50]}):
        spec = read(**lengths)
        document = spec.to_document()
        assert "chunks" not in document
        assert parse_job_spec(json.dumps(document).encode(), source="job") == spec


def test_a_job_that_is_cut_by_time_has_the_shortest_chunks_until_then() -> None:
    """With targetSeconds, the document's chunks are as many as there can be; any range can be cut from it."""
    spec = read(targetSeconds=2, shortest=30)
    assert (sizes(spec), spec.grows) == ([30, 30, 40], True)
    assert len(read(1_000_000, targetSeconds=2).chunks) == 10_000
    chunk = spec.cut(2, start=41, count=5)
    assert (chunk.id, chunk.frames, chunk.output_file) == (2, "frames 41 to 45", "part 002.mp4")
    assert chunk.argv == ("render", "41", "5", "part 002.mp4")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({}, "template: neither chunkFrames nor targetSeconds; expected one of them"),
        ({"chunkFrames": 3, "targetSeconds": 4}, "template: both chunkFrames and targetSeconds; expected one of them"),
        ({"targetSeconds": 0}, "template.targetSeconds: 0; expected greater than 0"),
        ({"chunkFrames": 3, "command": "r {count} {output}"}, "expected a command with {start}"),
        ({"chunkFrames": 3, "command": "r {start} {frame}"}, "{frame} is not known here"),
        ({"chunkFrames": 3, "command": "r {start"}, "expected a template that can be filled"),
        ({"chunkFrames": 3, "command": "r '{start}"}, "No closing quotation"),
        ({"chunkFrames": 3, "outputFile": "x.mp4"}, 'template.outputFile: "x.mp4"; expected a name with {index}'),
        ({"chunkFrames": 3, "outputFile": "../{index}.mp4"}, "template.outputFile: '../0.mp4'; expected a file's path"),
        ({"targetSeconds": 3, "outputFile": "x_####.png"}, "images; expected a video"),
        ({"targetSeconds": 3, "outputFile": "{index}-{start}.mp4"}, "with {start}; expected {index} alone"),
        ({"chunkFrames": 3, "cuts": [5, 5]}, "template.cuts[1]: 5; expected more than 5"),
        ({"chunkFrames": 3, "cuts": [100]}, "template.cuts[0]: 100; expected a frame inside the job, 1 to 99"),
        ({"chunkFrames": 3, "cuts": ["5"]}, "template.cuts[0]"),
        ({"targetSeconds": 3, "shortest": 5, "longest": 4}, "template.shortest: 5; expected at most 4"),
        ({"chunkFrames": 3, "shortest": 5}, "template.chunkFrames: 3; expected 5 to"),
        ({"chunkFrames": 3, "preroll": -1}, "template.preroll: -1; expected greater than or equal to 0"),
        ({"chunkFrames": 3, "seconds": 2}, "template.seconds: an unknown field"),
    ],
)
def test_a_bad_template_is_refused(template: dict[str, Any], said: str) -> None:
    """Each mistake has one problem, which says where it is and what was expected."""
    with pytest.raises(SpecError) as caught:
        read(**template)
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1


def test_too_many_chunks_are_refused() -> None:
    """A template that may make more chunks than a job can have is refused, and says how many it would be."""
    for template, name in (({"chunkFrames": 1}, "chunkFrames"), ({"targetSeconds": 1, "shortest": 1}, "shortest")):
        with pytest.raises(SpecError, match=f"template.{name}: 1, which may make 200000 chunks; expected at most"):
            read(200_000, **template)


def test_a_template_beside_chunks_is_refused() -> None:
    """A document has chunks or a template."""
    spec = read(chunkFrames=50)
    chunks = [chunk.model_dump(mode="json") for chunk in spec.chunks]
    with pytest.raises(SpecError, match="template: chunks and a template; expected one of them"):
        validate_job_spec({**spec.to_document(), "chunks": chunks}, source="job")


def test_the_length_of_chunks_may_change_between_runs() -> None:
    """Of a job that is cut by time, the command and the frames are compared with earlier runs, and no length."""
    before = read(targetSeconds=2)
    assert list_changes(before, read(targetSeconds=5, cuts=[50], longest=40)) == []
    assert list_changes(before, read(targetSeconds=2, preroll=3)) == ["template.preroll: 0 became 3"]
    assert list_changes(before, read(chunkFrames=30))
