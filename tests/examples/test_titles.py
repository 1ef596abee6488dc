"""The example of a batch: ten titles from a table."""

import csv
import os
import shutil
import sys
from pathlib import Path

import av
import pytest

from tests.command import helios_job

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_api")]
EXAMPLE = Path(__file__).parents[2] / "examples" / "titles"


def test_ten_titles(tmp_path: Path) -> None:
    """Each row of the table is a whole video of its own, on its own colour."""
    folder = shutil.copytree(EXAMPLE, tmp_path / "titles")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = helios_job("batch", "title.json", "names.csv", "--output", "out/{name}.mp4", cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    assert "10 rows rendered" in done.stdout
    corners = set()
    with (folder / "names.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            with av.open(str(folder / "out" / f"{row['name']}.mp4")) as video:
                frames = list(video.decode(video=0))
            assert len(frames) == 75
            corners.add(tuple(frames[-1].to_ndarray(format="rgb24")[0, 0]))
    assert len(corners) == 10
