"""Write one frame to out.mp4, then run a Python script: `script.py SHARED SCRIPT ARGUMENT …`.

The frame is copied if this test run has rendered it before; SHARED is the folder for that, or empty.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from testbed.programs.shared import rendered_once


def render(path: Path) -> None:
    """Write the frame."""
    from testbed.video import Clip, write_clip  # takes a second, with NumPy and FFmpeg

    write_clip(path, Clip(), start=0, count=1)


rendered_once(Path(sys.argv[1]) if sys.argv[1] else None, "one frame", output=Path("out.mp4"), render=render)
script = sys.argv[2]
sys.argv = ["-c", *sys.argv[3:]]
exec(compile(script, "script", "exec"), {"__name__": "__main__"})  # noqa: S102  a test's own script
