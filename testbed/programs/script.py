"""Write one frame to out.mp4, then run a Python script: `script.py SCRIPT ARGUMENT …`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from testbed.video import Clip, write_clip

write_clip(Path("out.mp4"), Clip(), start=0, count=1)
script = sys.argv[1]
sys.argv = ["-c", *sys.argv[2:]]
exec(compile(script, "script", "exec"), {"__name__": "__main__"})  # noqa: S102  a test's own script
