"""Images are read one by one: what is not whole, or not what was ordered, is refused with its name."""

from pathlib import Path

import pytest

from helios.errors import OutputError
from helios.media.image_file import decode_image, hash_image, read_image
from helios.models.image_pattern import IMAGE_CODECS, image_pattern
from testbed.images import KINDS, encode_image
from testbed.video import read_number


@pytest.mark.parametrize("suffix", sorted(KINDS))
@pytest.mark.parametrize("decode", [True, False])
def test_each_kind_is_read(tmp_path: Path, suffix: str, *, decode: bool) -> None:
    """An image of each kind is read, with its format and its depth; the digest is that of the file."""
    path = tmp_path / f"image{suffix}"
    path.write_bytes(encode_image(300, suffix))
    seen: list[int] = []
    read = read_image(
        path, codec=IMAGE_CODECS[suffix], width=64, height=64, decode=decode,
        take=lambda picture: seen.append(read_number(picture)),
    )  # fmt: skip
    assert seen == ([300] if decode else [])
    assert read.kind is not None
    assert read.kind.depth == ("32-bit float" if suffix == ".exr" else "8 bits")
    assert (read.bytes, read.sha256) == (hash_image(path).bytes, hash_image(path).sha256)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        *((suffix, {}) for suffix in sorted(KINDS)),
        (".exr", {"compression": "none"}),
        (".exr", {"compression": "zip16"}),
    ],
)
def test_a_part_of_an_image_is_noticed(suffix: str, options: dict[str, str]) -> None:
    """A file that was cut, or whose end was not written, is refused, wherever it was cut."""
    data, codec = encode_image(40_000, suffix, options=options), IMAGE_CODECS[suffix]
    assert read_number(decode_image(data, codec=codec, name="whole")) == 40_000
    for part in (8, 20, len(data) // 8, len(data) // 4, len(data) // 2, 3 * len(data) // 4, len(data) - 16):
        with pytest.raises(OutputError, match="cut"):
            decode_image(data[:part], codec=codec, name="cut")


def test_layers_of_exr(tmp_path: Path) -> None:
    """An EXR whose colors are in layers, which FFmpeg does not decode, has its size and its depth by its header."""
    path = tmp_path / "layers.exr"
    whole = encode_image(1, ".exr")
    before, channels, after = whole.partition(b"channels\0chlist\0")
    path.write_bytes(before + channels + after.replace(b"G\0", b"X\0", 1))
    kind = read_image(path, codec="exr", width=64, height=64, decode=False).kind
    assert kind is not None
    assert kind.depth == "32-bit float"
    with pytest.raises(OutputError, match="of a kind of EXR that FFmpeg does not read"):
        read_image(path, codec="exr", width=64, height=64)
    with pytest.raises(OutputError, match="is 64×64 pixels; expected 32×64"):
        read_image(path, codec="exr", width=32, height=64, decode=False)


def test_bits_of_colors(tmp_path: Path) -> None:
    """The depth is that of the colors: 16 bits of PNG and TIFF, 10 of DPX."""
    for suffix, depth in ((".png", "16 bits"), (".tif", "16 bits"), (".dpx", "10 bits")):
        path = tmp_path / f"deep{suffix}"
        path.write_bytes(encode_image(1, suffix, depth=16))
        kind = read_image(path, codec=IMAGE_CODECS[suffix], width=64, height=64).kind
        assert kind is not None
        assert kind.depth == depth


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"#EXTM3U\n/etc/passwd\n", "is no PNG image; expected one, as its extension says"),
        (encode_image(1, ".jpg"), "is no PNG image"),
        (encode_image(1, ".png", size=32), "is 32×32 pixels; expected 64×64"),
    ],
)
def test_what_is_no_such_image(tmp_path: Path, content: bytes, said: str) -> None:
    """Another file, also one that FFmpeg would read as a list of files, is refused by what it begins with."""
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=said):
        read_image(path, codec="png", width=64, height=64)


def test_names_of_frames() -> None:
    """A pattern names each frame's image, and reads the number back; # and %0Nd say the same."""
    for name in ("a/shot_####.exr", "a/shot_%04d.exr"):
        pattern = image_pattern(name)
        assert pattern is not None
        assert pattern.path(7) == "a/shot_0007.exr"
        assert pattern.number("shot_0123.exr") == 123
        assert pattern.number("shot_0123_depth.exr") is None
        assert {"a/shot_####", "a/shot_%04d.exr"} <= pattern.spellings
        assert pattern.holds(9999)
        assert not pattern.holds(10_000)
    plain = image_pattern("%d.png")
    assert plain is not None
    assert (plain.path(12), plain.holds(10**9)) == ("12.png", True)
    assert image_pattern("part.mp4") is None
