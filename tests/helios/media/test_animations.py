"""Animated GIFs as outputs of chunks: their times are whole hundredths of a second."""

from fractions import Fraction
from pathlib import Path

import pytest

from helios.errors import OutputError
from helios.media.verify import verify_output
from testbed.video import Clip, write_clip


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(50)])
def test_a_gif_is_verified_at_its_rate(tmp_path: Path, fps: Fraction) -> None:
    """A GIF of the ordered rate is accepted, although its times are rounded; one of another rate is refused."""
    path = write_clip(tmp_path / "a.gif", Clip(fps=fps, codec="gif", pixel_format="rgb8"), start=0, count=12)
    assert verify_output(path, frames=12, fps=fps, width=64, height=64).frames == 12
    with pytest.raises(OutputError):
        verify_output(path, frames=12, fps=2 * fps, width=64, height=64)
