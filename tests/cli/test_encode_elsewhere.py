"""`helios-job encode` on workers that don't share this machine's disk."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from testbed.cloud.own_farm import OwnFarm, own_farm
from testbed.encodes import Film, decoded, write_film
from testbed.image_films import pixels, video_pixels, write_images
from tests.command import here


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnFarm]:
    with own_farm(tmp_path_factory.mktemp("farm"), nodes=1) as farm:
        yield farm


@pytest.mark.slow  # the next test has it with a large source
@pytest.mark.usefixtures("prefect_api")
def test_by_a_node_of_a_farm(farm: OwnFarm, tmp_path: Path) -> None:
    """A source outside the job directory is encoded by a node with another folder, frame by frame as it was."""
    _encode(farm, tmp_path, Film(frames=60, sound=("aac",)))


@pytest.mark.usefixtures("prefect_api")
def test_a_large_source_is_not_fetched_whole(farm: OwnFarm, tmp_path: Path) -> None:
    """Each chunk's worker fetches the parts of a large source that it needs, and the encode is exact."""
    film = Film(frames=90, codec="rawvideo", options=(), size=(640, 360), scene_frames=45)
    _encode(farm, tmp_path, film, "--cut", "1.5")
    size = (tmp_path / "film.mkv").stat().st_size
    logs = "".join(path.read_text() for path in (tmp_path / "out.mkv.encode" / ".helios" / "logs").rglob("*.log"))
    fetched = [int(bytes_) for bytes_ in re.findall(rf"(\d+) of the {size} bytes of source.mkv were fetched", logs)]
    assert len(fetched) == 2
    assert all(0 < one < 0.7 * size for one in fetched)


@pytest.mark.usefixtures("prefect_api")
def test_images_by_a_node_of_a_farm(farm: OwnFarm, tmp_path: Path) -> None:
    """Of a sequence of images each chunk's worker fetches those of its range alone, and each is a frame as it was."""
    images = write_images(tmp_path / "in" / "shot_####.dpx", Film(frames=36, size=(640, 360)), first=1001)
    _run(farm, tmp_path, tmp_path / "in" / "shot_####.dpx", "--fps", "24", "--cut", "0.75")
    shown = video_pixels(tmp_path / "out.mkv")
    assert all(np.array_equal(pixels(path), found) for path, found in zip(images, shown, strict=True))
    size = (tmp_path / "out.mkv.encode" / "images.mov").stat().st_size
    logs = "".join(path.read_text() for path in (tmp_path / "out.mkv.encode" / ".helios" / "logs").rglob("*.log"))
    fetched = [int(bytes_) for bytes_ in re.findall(rf"(\d+) of the {size} bytes of images.mov were fetched", logs)]
    assert len(fetched) == 2
    assert all(0.4 * size < one < 0.6 * size for one in fetched)


def _encode(farm: OwnFarm, tmp_path: Path, film: Film, *words: str) -> None:
    source = write_film(tmp_path / "film.mkv", film)
    _run(farm, tmp_path, source, "--shortest", "0.5", *words)
    assert [picture for _, picture in decoded(tmp_path / "out.mkv")] == [picture for _, picture in decoded(source)]


def _run(farm: OwnFarm, tmp_path: Path, source: Path, *words: str) -> None:
    config = json.dumps({name: value for name, value in farm.config.items() if name != "type"})
    done = here(
        "encode", source, "-o", tmp_path / "out.mkv", "--codec", "ffv1", "--json", *words,
        "--adapter", "farm", "--adapter-config", config,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report["chunks"]) > 1
    assert all(chunk["renderedBy"].startswith("node-0 ") for chunk in report["chunks"])
