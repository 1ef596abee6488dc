"""Chunks that hold the same pictures for different frames are noticed, and still pictures and loops are left alone."""

import threading
from fractions import Fraction
from math import pi, sin
from pathlib import Path

import av
import numpy as np
import pytest

from helios.media.copies import MOST_GROUPS, Copies, Motion, look_at
from helios.media.verify import VerificationStoppedError, verify_output
from helios.models.pictures import PictureFault
from helios.models.spec import RenderJobChunk
from helios.models.verification import VerifyLevel
from testbed.moving_pictures import Look, Picture, waves, write_pictures
from testbed.programs.moving import REPEATABLE

NEVER = threading.Event()


def chunk(number: int, frames: int = 10) -> RenderJobChunk:
    return RenderJobChunk(
        id=number, start_frame=number * frames, frame_count=frames, output_file=f"{number}.mp4", command="render"
    )


def taken(*digests: str, motion: Motion = Motion.MOVING) -> Copies:
    """Chunks with these digests of their packets, looked at where it is due."""
    copies = Copies()
    for number, digest in enumerate(digests):
        if copies.add(chunk(number), digest):
            copies.judge(digest, motion)
    return copies


def messages(copies: Copies, total: int) -> list[str]:
    return [finding.message for finding in copies.findings(total=total)]


def test_each_group_of_equal_chunks_has_one_finding() -> None:
    """Equal chunks are named together, with their frames; single ones are not named."""
    copies = taken("a", "b", "a", "c", "b", "a")
    found = copies.findings(total=6)
    assert [finding.message.partition(",")[0] for finding in found] == [
        "chunks 0",
        "chunks 1 and 4 hold the same pictures",
    ]
    assert "chunks 0, 2 and 5 hold the same pictures, packet by packet, for different frames (0 to 9, 20 to 29, …)" in (
        found[0].message
    )
    first = found[0]
    assert (first.kind, first.is_certain) == (PictureFault.COPY, False)
    assert (first.chunk_id, first.frame, first.other_chunk_id, first.other_frame) == (2, 20, 0, 0)


def test_a_chunk_that_is_taken_back_counts_no_more() -> None:
    """A chunk that is rendered again is forgotten, and another output of it stands for itself."""
    copies = taken("a", "a", "b")
    copies.remove(1)
    assert messages(copies, 3) == []
    copies.add(chunk(1), "b")
    copies.judge("b", Motion.MOVING)
    assert len(messages(copies, 3)) == 1


@pytest.mark.parametrize("motion", [Motion.STILL, Motion.LOOP])
def test_still_pictures_and_loops_are_left_alone(motion: Motion) -> None:
    """A black title over some chunks is none of the renderer's faults, nor is a loop of a chunk's length."""
    assert messages(taken("a", "a", "a", "b", motion=motion), 4) == []


def test_a_video_of_one_still_picture_is_told() -> None:
    """If all chunks are the same still picture, somebody should look at it."""
    assert messages(taken("a", "a", "a", motion=Motion.STILL), 3) == [
        "all 3 chunks hold the same still picture: is it what was to be rendered?"
    ]
    assert messages(taken("a", motion=Motion.STILL), 1) == []


def test_many_groups_have_a_bound() -> None:
    """Of many kinds of equal chunks the first are named, and the others counted; of many equal chunks likewise."""
    many = [f"{number % (MOST_GROUPS + 5)}" for number in range(2 * (MOST_GROUPS + 5))]
    found = messages(taken(*many), len(many))
    assert len(found) == MOST_GROUPS
    assert found[-1].endswith("Chunks of 5 further kinds are equal, too")
    assert "chunks 0, 1, 2, 3, 4 and 995 more hold" in messages(taken(*["a"] * 1000), 1000)[0]


def test_what_is_known_as_a_restart_has_no_second_warning() -> None:
    """Where the level `pictures` has said that a chunk shows an earlier one again, that is enough."""
    copies = taken("a", "a")
    assert copies.findings(total=2, named=frozenset({1})) == []
    assert len(copies.findings(total=2, named=frozenset({0}))) == 1


def pictures(path: Path, films: list[Picture]) -> Path:
    write_pictures(path, films, Look(options=REPEATABLE))
    return path


def ball(turn: float) -> Picture:
    """A bright square that runs in a circle: a loop of 24 frames."""
    picture: Picture = np.zeros((180, 320, 3), dtype=np.uint8)
    x, y = round(130 + 100 * sin(turn)), round(70 + 50 * sin(turn + pi / 2))
    picture[y : y + 40, x : x + 40] = 200
    return picture


def test_what_pictures_do(tmp_path: Path) -> None:
    """One picture stands still, whatever encoding makes of it; a circle goes round; everything else moves."""
    still = pictures(tmp_path / "still.mp4", [waves(0)] * 24)
    circle = pictures(tmp_path / "circle.mp4", [ball(2 * pi * number / 24) for number in range(24)])
    half = pictures(tmp_path / "half.mp4", [ball(pi * number / 24) for number in range(24)])
    cut = pictures(tmp_path / "cut.mp4", [waves(0)] * 23 + [ball(0)])
    one = pictures(tmp_path / "one.mp4", [waves(0)])
    found = [look_at(path, stop=NEVER) for path in (still, circle, half, cut, one)]
    assert found == [Motion.STILL, Motion.LOOP, Motion.MOVING, Motion.MOVING, Motion.STILL]


def test_what_can_not_be_decoded_counts_as_moving(tmp_path: Path) -> None:
    """At the level `container` nobody has decoded a chunk yet: a damaged one is told, too."""
    path = tmp_path / "torn.mp4"
    path.write_bytes(b"no video")
    assert look_at(path, stop=NEVER) is Motion.MOVING
    over = threading.Event()
    over.set()
    with pytest.raises(VerificationStoppedError):
        look_at(pictures(tmp_path / "good.mp4", [waves(0)] * 3), stop=over)


@pytest.mark.parametrize("level", list(VerifyLevel))
def test_the_packets_count_and_not_the_container(tmp_path: Path, level: VerifyLevel) -> None:
    """The same packets have the same digest in another container with other metadata; other pictures have another."""
    one = pictures(tmp_path / "one.mp4", [waves(number) for number in range(12)])
    other = pictures(tmp_path / "other.mp4", [waves(number) for number in range(1, 13)])
    copy = tmp_path / "copy.mkv"
    with av.open(str(one)) as source, av.open(str(copy), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        target.metadata["title"] = "Another one"
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(one)) as video:
        fps = Fraction(video.streams.video[0].average_rate or 0)
    digests = [
        verify_output(path, frames=12, fps=fps, width=320, height=180, level=level).packets
        for path in (one, copy, other)
    ]
    assert digests[0] == digests[1] != digests[2]
