"""The key of a chunk's content: what changes it, and what does not."""

from typing import Any

import pytest

from helios.job.content_key import content_key
from helios.models.spec import JobMetadata, RenderJobChunk

METADATA = {"totalFrames": 60, "fps": 30, "width": 64, "height": 48, "duration": 2}
CHUNK = {
    "id": 3,
    "startFrame": 30,
    "frameCount": 30,
    "outputFile": "out/part-3.mp4",
    "command": "render --from 30 --count 30 --output=out/part-3.mp4 out/part-3.mp4",
}


def key(*, inputs: str = "a", metadata: dict[str, Any] | None = None, **changed: Any) -> str:
    """The key of the chunk with some fields changed."""
    chunk = RenderJobChunk.model_validate(CHUNK | changed)
    return content_key(chunk, JobMetadata.model_validate(METADATA | (metadata or {})), inputs=inputs)


def test_a_key_is_always_the_same() -> None:
    """A key is 64 hexadecimal digits, which do not change from version to version: caches outlive versions."""
    assert key() == "142c75259c03a30085ac1b663476bccffc95a9ff5641a1a288a4280a9296c1ad"


@pytest.mark.parametrize(
    "changed",
    [
        {"id": 7},
        {
            "outputFile": "other.mp4",
            "command": "render --from 30 --count 30 --output=other.mp4 other.mp4",
        },
        {"command": "render  --from '30' --count 30 --output=out/part-3.mp4 out/part-3.mp4"},
        {"metadata": {"totalFrames": 90, "duration": 3, "title": "a longer cut"}},
        {"metadata": {"fps": "30/1"}},
    ],
    ids=["id", "output", "quotes", "length", "spelling of the rate"],
)
def test_what_does_not_change_the_key(changed: dict[str, Any]) -> None:
    """Names, numbers and the rest of the job do not decide what a chunk renders."""
    assert key(**changed) == key()


@pytest.mark.parametrize(
    "changed",
    [
        {"inputs": "b"},
        {"startFrame": 29},
        {"frameCount": 31},
        {"metadata": {"fps": "30000/1001"}},
        {"metadata": {"width": 128}},
        {"metadata": {"height": 64}},
        {"command": "render --from 30 --count 30 --output=out/part-3.mp4 out/part-3.mp4 --draft"},
        {"command": "render --from 30 --count 30 --draft=out/part-3.mp4 out/part-3.mp4"},
        {"command": "render --from 30 --count 30 out/part-3.mp4 --output=out/part-3.mp4"},
        {"command": "render --from 30 --count 30 --output=out/part-3.mp4 ''"},
        {"command": "render --from 30 --count 30 --output=out/part-3.mp4 []"},
        {
            "outputFile": "out/part-3.mov",
            "command": "render --from 30 --count 30 --output=out/part-3.mov out/part-3.mov",
        },
        {"outputFile": "out/part-4.mp4"},
    ],
)
def test_what_changes_the_key(changed: dict[str, Any]) -> None:
    """Another command, other frames, another picture, another format or other inputs are another content."""
    assert key(**changed) != key()


def test_a_name_inside_a_word_is_part_of_the_command() -> None:
    """A script in the command that contains the output's name is taken as it is: it may mean anything there."""
    first = key(command="sh -c 'render > out/part-3.mp4'")
    assert key(outputFile="b.mp4", command="sh -c 'render > b.mp4'") != first


def test_two_outputs_with_each_others_name_do_not_meet() -> None:
    """A command that reads a file is not mixed up with the command that writes it."""
    reads = key(outputFile="b.mp4", command="copy a.mp4 b.mp4")
    writes = key(outputFile="a.mp4", command="copy a.mp4 b.mp4")
    assert reads != writes
