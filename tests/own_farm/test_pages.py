"""An HTML page, drawn by a farm's nodes: each has Chromium, and gets the files that the page reads."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from testbed.cloud.own_farm import OwnFarm
from tests.examples.test_renderers import EXAMPLES, needs, pictures, plan
from tests.running import render

pytestmark = [pytest.mark.usefixtures("prefect_api"), pytest.mark.slow]


async def test_an_html_page(farm: OwnFarm, tmp_path: Path) -> None:
    """Chunks that nodes have drawn are the frames of the whole."""
    needs("chromium", "Debian's package chromium")
    for file in (EXAMPLES / "page").iterdir():
        shutil.copy(file, tmp_path)
    document = plan(tmp_path, "--with", "page", "chart.html", "--frames", 12, "--chunks", 3)
    state, report = await render(tmp_path, document, adapter=farm.config)
    assert state.is_completed(), state.message
    assert {chunk.adapter for chunk in report.chunks} == {"farm"}
    program = str(Path(sys.executable).with_name("helios-page"))
    words = [program, "chart.html", "render", "0", "12", "whole.mp4", "--fps", "24", "--size", "640x360"]
    subprocess.run(words, check=True, capture_output=True, cwd=tmp_path)
    chunked, at_once = pictures(tmp_path / "chart.mp4"), pictures(tmp_path / "whole.mp4")
    assert len(chunked) == len(at_once) == 12
    assert all(np.abs(one - other).mean() < 2 for one, other in zip(chunked, at_once, strict=True))
