"""Images of two renders are compared by what they show, light by its own values."""

import hashlib
import math
from pathlib import Path

import pytest

from helios.errors import OutputError
from helios.media.image_comparison import ImagePair, compare_images
from testbed.images import encode_image

LINES, LINE_HEADER, LINE_BYTES = 64, 8, 3 * 64 * 4
"""An EXR that is not compressed ends with its lines: number, length, and three colours of 64 floats each."""
CODECS = {".png": "png", ".exr": "exr", ".jpg": "mjpeg"}


def pairs(folder: Path, suffix: str, numbers: list[tuple[int, int]], **second: object) -> list[ImagePair]:
    """Images that show a number each, and what the second render shows in their place."""
    found = []
    for frame, (one, other) in enumerate(numbers):
        paths = folder / f"one-{frame}{suffix}", folder / f"other-{frame}{suffix}"
        paths[0].write_bytes(data := encode_image(one, suffix))
        paths[1].write_bytes(encode_image(other, suffix, **second))  # type: ignore[arg-type]
        found.append(ImagePair(paths[0], (len(data), hashlib.sha256(data).hexdigest()), paths[1]))
    return found


# Eight of 16 squares turn from black to white: of each colour the mean of the squares is a half; JPEG has two planes of
# colour, which stay grey.
@pytest.mark.parametrize(("suffix", "psnr"), [(".png", 3.0), (".exr", 3.0), (".jpg", 7.8)])
def test_the_image_that_differs_most(tmp_path: Path, suffix: str, psnr: float) -> None:
    """Equal images are equal; of those that differ, the worst is named, with its PSNR and both pictures."""
    equal = compare_images(pairs(tmp_path, suffix, [(1, 1), (2, 2)]), codec=CODECS[suffix], least_psnr=45)
    assert not equal.is_different
    assert equal.lowest_psnr == math.inf
    found = compare_images(pairs(tmp_path, suffix, [(1, 1), (0, 1), (0, 255)]), codec=CODECS[suffix], least_psnr=45)
    assert (found.is_different, found.frame, found.different_frames) == (True, 2, 2)
    assert found.lowest_psnr == pytest.approx(psnr, abs=0.3)
    assert found.pictures is not None
    assert found.pictures.accepted != found.pictures.again


def test_light_by_its_values(tmp_path: Path) -> None:
    """A single value of an EXR that differs in its last bit is a difference."""
    pair = pairs(tmp_path, ".exr", [(255, 255)], options={"compression": "none"})[0]
    data = encode_image(255, ".exr", options={"compression": "none"})
    pair.accepted.write_bytes(data)
    changed = bytearray(data)
    changed[-LINES * (LINE_HEADER + LINE_BYTES) + LINE_HEADER] ^= 1  # the lowest byte of the first line's first value
    pair.again.write_bytes(changed)
    known = (len(data), hashlib.sha256(data).hexdigest())
    found = compare_images([ImagePair(pair.accepted, known, pair.again)], codec="exr", least_psnr=45)
    assert (found.is_different, found.different_frames) == (True, 1)
    assert 45 < found.lowest_psnr < math.inf


def test_files_that_differ_and_pictures_that_do_not(tmp_path: Path) -> None:
    """Another compression of the same pixels is no difference; another depth is one of the format."""
    same = pairs(tmp_path, ".png", [(3, 3)], options={"compression_level": "0"})
    assert same[0].accepted.read_bytes() != same[0].again.read_bytes()
    assert not compare_images(same, codec="png", least_psnr=45).is_different
    deeper = pairs(tmp_path, ".png", [(3, 3)], depth=16)
    assert "instead of" in compare_images(deeper, codec="png", least_psnr=45).format


def test_an_accepted_image_that_was_changed(tmp_path: Path) -> None:
    """The accepted image is held against its record."""
    found = pairs(tmp_path, ".png", [(3, 4)])
    found[0].accepted.write_bytes(found[0].again.read_bytes())
    with pytest.raises(OutputError, match="was changed since it was accepted"):
        compare_images(found, codec="png", least_psnr=45)
