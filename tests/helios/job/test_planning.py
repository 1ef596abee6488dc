"""Cutting a range into chunks."""

import shlex
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios.errors import HeliosError, RequestError
from helios.job.planning import plan_job, split_at, split_by_size, split_evenly
from helios.models import JobSpec


def plan(sizes: list[int], *, command: str = "render {start} {count} {output}", **fields: Any) -> JobSpec:
    settings: dict[str, Any] = {"fps": "30", "width": 64, "height": 64, "output_pattern": "c{index}.mp4"} | fields
    return plan_job(sizes, command=command, **settings)


@given(frames=st.integers(1, 10_000), data=st.data())
def test_even_chunks_differ_by_one_frame(frames: int, data: st.DataObject) -> None:
    """An even split has the number of chunks asked for, all frames, and lengths one frame apart at most."""
    chunks = data.draw(st.integers(1, frames))
    sizes = split_evenly(frames, chunks=chunks)
    assert len(sizes) == chunks
    assert sum(sizes) == frames
    assert max(sizes) - min(sizes) <= 1


@given(frames=st.integers(1, 10_000), chunk_frames=st.integers(1, 10_000))
def test_chunks_of_a_size_leave_the_rest_to_the_last(frames: int, chunk_frames: int) -> None:
    """All chunks but the last have the size asked for."""
    sizes = split_by_size(frames, chunk_frames=chunk_frames)
    assert sum(sizes) == frames
    assert set(sizes[:-1]) <= {chunk_frames}
    assert 1 <= sizes[-1] <= chunk_frames


def test_a_template_is_filled() -> None:
    """Every placeholder has its value: half-open and closed ends, the output, the number."""
    job = plan(
        [3, 2],
        command="r {start} {count} {end} {last} {index:02d} {output}",
        start_frame=10,
        output_pattern="c{index}.mp4",
    )
    assert [chunk.argv for chunk in job.chunks] == [
        ("r", "10", "3", "13", "12", "00", "c0.mp4"),
        ("r", "13", "2", "15", "14", "01", "c1.mp4"),
    ]
    assert job.metadata.total_frames == 5
    assert job.metadata.duration == pytest.approx(5 / 30)


def test_times_are_exact() -> None:
    """A time is what frames and rate make, without a digit too many; nine decimals where no number says it exactly."""
    job = plan([240, 1, 59], fps="30000/1001", command="r {start_time} {end_time} {start_time:.3f}")
    assert [chunk.argv[1:] for chunk in job.chunks] == [
        ("0", "8.008", "0.000"),
        ("8.008", "8.041366667", "8.008"),
        ("8.041366667", "10.01", "8.041"),
    ]
    assert plan([1], fps="25", start_frame=250, command="r {start_time}").chunks[0].argv == ("r", "10")


def test_frames_before_a_chunk() -> None:
    """A command is told how many frames to render before its chunk: as many as asked for, none before frame 0."""
    job = plan([5, 5, 20, 5], command="r {preroll} {preroll_start} {start}", preroll=8)
    assert [chunk.argv[1:] for chunk in job.chunks] == [
        ("0", "0", "0"),
        ("5", "0", "5"),
        ("8", "2", "10"),
        ("8", "22", "30"),
    ]


@given(frames=st.integers(1, 10_000), start=st.integers(0, 500), data=st.data())
def test_chunks_begin_where_a_list_says(frames: int, start: int, data: st.DataObject) -> None:
    """Chunks begin at the job's first frame and at each frame of the list, and have all frames."""
    cuts = sorted(data.draw(st.sets(st.integers(start, start + frames - 1), min_size=1, max_size=20)))
    sizes = split_at(
        data.draw(st.sampled_from([", ", ",", "\n", " "])).join(map(str, cuts)), frames=frames, start_frame=start
    )
    assert [start, *accumulate(sizes, initial=start)][1:-1] == sorted({start, *cuts})
    assert sum(sizes) == frames


@pytest.mark.parametrize(
    ("cuts", "said"),
    [
        ("", "The cut '' is not a frame of the job; expected 10 to 109"),
        ("10, x", "The cut 'x' is not a frame of the job"),
        ("110", "The cut '110' is not a frame of the job; expected 10 to 109"),
        ("0, 20", "The cut '0' is not a frame of the job"),
        ("20, 20", "The cut 20 does not come after 20"),
        ("10, 30, 20", "The cut 20 does not come after 30"),
        ("10, 10", "The cut 10 does not come after 10"),
        ("9" * 1000, "is not a frame of the job"),
    ],
)
def test_lists_that_make_no_chunks(cuts: str, said: str) -> None:
    """A cut that is no frame of the job, or not after the one before it, is named."""
    with pytest.raises(RequestError, match=said):
        split_at(cuts, frames=100, start_frame=10)


def test_a_value_stays_in_its_word() -> None:
    """An output with spaces and quotes is one word of the command, quoted in the template or not."""
    for command in ("r {output}", 'r "{output}"', "r '{output}'"):
        job = plan([1, 1], command=command, output_pattern="it's no. {index}.mp4")
        assert job.chunks[1].argv == ("r", "it's no. 1.mp4")
        assert shlex.split(job.chunks[1].command)[1] == job.chunks[1].output_file


def test_doubled_braces_are_braces() -> None:
    """Doubled braces in a command become single braces, so that a command can contain JSON."""
    assert plan([1], command="""r '{{"first": {start}}}'""").chunks[0].argv[1] == '{"first": 0}'


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"command": "r {strat}"}, r"\{strat\} is not known here. Known: \{start\}"),
        ({"command": "r {"}, "is not a template"),
        ({"command": "r {start:q}"}, "is not a template"),
        ({"command": "r 'x"}, "can't be split"),
        ({"command": ""}, "a program and its arguments"),
        ({"output_pattern": "c.mp4"}, r"gives every chunk the same file.*c-\{index:04d\}.mp4"),
        ({"output_pattern": "f/c.exr"}, r"gives every image the same file; put its frame's number in it: f/c_####.exr"),
        ({"output_pattern": "c_##_##.exr"}, "can't name images; expected one field for the frame's number"),
        ({"output_pattern": "c_####.tga"}, r"images that are not verified here; expected one of \.png, "),
        ({"output_pattern": "../c{index}.mp4"}, "inside the job directory"),
        ({"output_pattern": "{output}"}, "is not known here"),
        ({"fps": "fast"}, "'fast' is no frame rate; expected a frame rate above 0"),
        ({"width": 0}, "metadata.width"),
    ],
)
def test_templates_that_do_not_work_are_refused(fields: dict[str, Any], said: str) -> None:
    """A template that does not work is refused with the reason, such as an unknown placeholder and the known ones."""
    with pytest.raises(HeliosError, match=said):
        plan([1, 1], **fields)


@pytest.mark.parametrize("chunks", [0, -1, 11])
def test_no_chunk_is_empty(chunks: int) -> None:
    """More chunks than frames are refused, and fewer than one."""
    with pytest.raises(RequestError, match="expected 1 to 10"):
        split_evenly(10, chunks=chunks)
