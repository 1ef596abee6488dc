"""Names of outputs: videos, or images with their frames' numbers. What can't work is refused with the document."""

from typing import Any

import pytest

from helios.errors import SpecError
from helios.job.planning import plan_job
from helios.job.source import load_job_spec
from testbed.images import image_job
from testbed.jobs import make_job


def problem(document: dict[str, Any]) -> str:
    """The first problem of a document that is refused."""
    with pytest.raises(SpecError) as refused:
        load_job_spec(document)
    return str(refused.value.problems[0])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shot.png", "an image, for 3 frames; expected the number of each frame in the name, such as 'shot_####.png'"),
        ("a_##_##.png", "one field for the frame's number"),
        ("%04d/a.png", "none in a folder's"),
        ("a_#.png", "too narrow for frame 11; expected ## or %02d"),
        ("a_%01d.png", "too narrow for frame 11; expected ## or %02d"),
        ("a_####.tga", "images of a kind that is verified here (.png, .jpg"),
        ("anim.webp", "an animated WebP is not verified here"),
        ("part.h264", "a raw stream without times; expected a file that says when its frames are shown"),
        ("part.Y4M", "a raw stream without times"),
        ("part.obu", "a raw stream without times"),
        ("part.hevc", "a raw stream without times"),
    ],
)
def test_names_that_can_not_work(name: str, said: str) -> None:
    """Each is refused before anything runs, with what to do."""
    job = make_job((3,), start=9)
    job["chunks"][0]["outputFile"] = name
    found = problem(job)
    assert said in found
    assert found.startswith("chunks[0].outputFile")


def test_chunks_may_share_a_pattern() -> None:
    """The chunks of one sequence have one pattern; two chunks never have one image."""
    spec = load_job_spec(image_job([2, 2], start=9, output="s/a_##.exr"))
    assert [chunk.files for chunk in spec.chunks] == [("s/a_09.exr", "s/a_10.exr"), ("s/a_11.exr", "s/a_12.exr")]
    job = image_job([2, 2], start=9, output="s/a_###.exr")
    job["chunks"][1]["outputFile"] = "s/a_0%02d.exr"
    assert load_job_spec(job).chunks[1].files[0] == "s/a_011.exr"
    job["chunks"][1] |= {"outputFile": "s/a_1##.exr"}
    assert load_job_spec(job | {"outputFile": "video.mp4"}).is_images
    job["outputFile"] = "s/a_010.exr"
    assert "as in outputFile" in problem(job)


def test_images_and_videos_do_not_mix() -> None:
    """A job has images or videos; a command for parts of chunks is for images."""
    job = image_job([2, 2])
    job["chunks"][1]["outputFile"] = "b.mp4"
    assert problem(job) == "chunks[1].outputFile: a video, where chunks[0] writes images; expected one kind of output"
    assert "outputs of images" in problem(make_job(rangeCommand="render {start} {count} {output}"))


@pytest.mark.parametrize("command", ["render {output}", "render {start} {output}", "render {start} {last} {x}", "a {"])
def test_commands_for_parts(command: str) -> None:
    """A command for parts of chunks takes a first frame, and a last one or a number."""
    assert problem(image_job([2], ranges=False, rangeCommand=command)).startswith("rangeCommand")


def test_a_job_has_a_bounded_number_of_images() -> None:
    """More images than a record can hold are refused before their names are made."""
    assert "at most 100000 in a job" in problem(image_job([2**31 - 2], output="a_%d.png", start=0))


def test_plan_writes_a_command_for_parts() -> None:
    """A plan of images names the pattern in every chunk, and keeps the template where it can render any range."""

    def plan(command: str, output: str = "f/a_####.png") -> str | None:
        return plan_job([3, 2], fps="24", width=2, height=2, command=command, output_pattern=output).range_command

    assert plan("r {start} {last} {output}") == "r {start} {last} {output}"
    assert plan("r {index} {start} {last} {output}") is None
    assert plan("r {start} {count} {output}", "part-{index}.mp4") is None


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a_{index}.tga", "'a_0.tga', an image (and so in 4 further chunks); expected a video file"),
        ("a_{index}.png", "'a_0.png', an image, for 3 frames (and so in 4 further chunks); expected the number"),
        ("a_#.png", "'a_#.png', too narrow for frame 101 (and so in 4 further chunks); expected ### or %03d"),
    ],
)
def test_a_mistake_of_all_chunks(template: str, said: str) -> None:
    """A name that is wrong alike in several chunks is one problem, which tells what all of them need."""
    job = make_job((3,) * 5, start=93)
    for index, chunk in enumerate(job["chunks"]):
        chunk["outputFile"] = template.replace("{index}", str(index))
    with pytest.raises(SpecError) as refused:
        load_job_spec(job)
    (found,) = refused.value.problems
    assert said in str(found)
