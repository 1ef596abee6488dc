"""What can't be had of images is refused before anything runs, with what to do."""

from pathlib import Path
from typing import Any

import pytest

from helios.errors import RequestError
from tasks.request.prepare import prepare
from tasks.request.request import RenderRequest
from testbed.images import image_job


@pytest.mark.parametrize(
    ("fields", "parameters", "said"),
    [
        ({}, {"last_chunk": "shorter"}, "can't be had of images"),
        ({"width": 63}, {"output_file": "video.mp4"}, "can't be encoded as yuv420p"),
        ({"encode": {"codec": "prores", "crf": "3"}}, {"output_file": "video.mov"}, "prores has no crf"),
        ({"encode": {"pixFmt": "rgb99"}}, {"output_file": "video.mp4"}, "x264 does not take rgb99 (encode.pixFmt)"),
    ],
)
def test_what_images_can_not_have(
    tmp_path: Path, fields: dict[str, Any], parameters: dict[str, Any], said: str
) -> None:
    """What makes no sense for images, or is not there yet, is refused with the way out."""
    job = image_job([2], start=1, **{name: value for name, value in fields.items() if name == "encode"})
    job["metadata"] |= {name: value for name, value in fields.items() if name == "width"}
    with pytest.raises(RequestError) as refused:
        prepare(RenderRequest(job, job_dir=str(tmp_path), **parameters))
    assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_odd_size_in_a_format_that_takes_it(tmp_path: Path) -> None:
    """Images of an odd size are encoded where the pixel format has a color for each pixel."""
    job = image_job([2], start=1, encode={"pixFmt": "yuv444p"})
    job["metadata"]["width"] = 63
    prepare(RenderRequest(job, job_dir=str(tmp_path), output_file="video.mp4"))
