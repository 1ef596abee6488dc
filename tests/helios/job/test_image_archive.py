"""Archives of images, as a cache of outputs keeps them."""

import hashlib
from pathlib import Path

import pytest

from helios.errors import OutputError
from helios.job.image_archive import PackedImage, pack_images, unpack_images

CONTENTS = {9: b"nine", 10: b"", 11: bytes(3_000_000)}


def images(folder: Path) -> list[PackedImage]:
    """Files that were accepted."""
    found = []
    for frame, content in CONTENTS.items():
        path = folder / f"shot_{frame}.png"
        path.write_bytes(content)
        found.append(PackedImage(frame, path, (len(content), hashlib.sha256(content).hexdigest())))
    return found


def test_images_come_back_under_other_names(tmp_path: Path) -> None:
    """What was packed is unpacked under the names that are wanted; the same images make the same archive."""
    packed = pack_images(images(tmp_path), tmp_path / "one.tar")
    assert packed == pack_images(images(tmp_path), tmp_path / "two.tar")
    (tmp_path / "out").mkdir()
    names = {frame: f"{frame:04d}.png" for frame in CONTENTS}
    known = unpack_images(tmp_path / "one.tar", tmp_path / "out", names)
    assert known == {image.frame: image.known for image in images(tmp_path)}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        names[frame]: content for frame, content in CONTENTS.items()
    }


def test_an_image_that_was_changed(tmp_path: Path) -> None:
    """An image that is not what was accepted is not packed."""
    accepted = images(tmp_path)
    accepted[0].path.write_bytes(b"NINE")
    with pytest.raises(OutputError, match="was changed since it was accepted"):
        pack_images(accepted, tmp_path / "one.tar")


@pytest.mark.parametrize("frames", [(9, 10), (9, 10, 11, 12), (9, 10, 12)])
def test_other_images_than_expected(tmp_path: Path, frames: tuple[int, ...]) -> None:
    """An archive with an image too few or too many is refused."""
    pack_images(images(tmp_path), tmp_path / "one.tar")
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="image"):
        unpack_images(tmp_path / "one.tar", tmp_path / "out", {frame: f"{frame}.png" for frame in frames})
    (tmp_path / "one.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(OutputError, match="no whole archive"):
        unpack_images(tmp_path / "one.tar", tmp_path / "out", {9: "x.png"})
