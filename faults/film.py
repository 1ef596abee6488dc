"""Frames rendered beforehand, so that a chunk of the bench costs a copy; and documents whose commands copy them."""

import shlex
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

from faults.scenario import Fault, Scenario
from testbed.video import Clip, write_clip

PROGRAM = Path(__file__).with_name("chunk.sh")
TEMPLATES_OF = 4
"""One job of so many has a template in place of chunks, where no chunk has a command of its own."""
LONGEST = 4
"""Frames of a chunk that is cut while it is rendered: each place and length of a piece lies ready."""
_LOCK = threading.Lock()


class Film:
    """A folder of chunk files, by size, rate, first frame and length.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def path(self, scenario: Scenario, start: int | str, count: int | str) -> Path:
        """Where a piece lies; of a template's names, the template of the place."""
        width, height = scenario.size
        return self._folder / f"{width}x{height}-{scenario.fps.replace('/', '_')}-{start}-{count}.mp4"

    def piece(self, scenario: Scenario, start: int, count: int) -> Path:
        """Return a file with frames `[start, start + count)`; beside it lies a file that is one frame short."""
        width, height = scenario.size
        path = self.path(scenario, start, count)
        clip = Clip(fps=Fraction(scenario.fps), width=width, height=height)
        with _LOCK:
            if not path.exists():
                write_clip(path.with_suffix(".new.mp4"), clip, start=start, count=count)
                short = write_clip(path.with_suffix(".cut.mp4"), clip, start=start, count=max(count - 1, 1))
                if count == 1:
                    short.write_bytes(b"")
                short.replace(f"{path}.short")
                path.with_suffix(".new.mp4").replace(path)
        return path

    def job(self, scenario: Scenario, notes: Path) -> dict[str, Any]:
        """Return a job document whose commands leave notes in a folder."""
        chunks, frame = [], scenario.start
        ways = {strike.chunk: way for strike in scenario.strikes if (way := _way(strike.fault, strike.how))}
        for index, count in enumerate(scenario.lengths):
            name = f"chunk-{index}.mp4"
            source = self.piece(scenario, frame, count)
            way = ways.get(index, "work")
            words = ["sh", PROGRAM, notes, frame, scenario.seconds * (20 if way == "deaf" else 1), way, source, name]
            command = shlex.join(map(str, words))
            chunks.append({
                "id": index, "startFrame": frame, "frameCount": count, "outputFile": name, "command": command,
            })  # fmt: skip
            frame += count
        width, height = scenario.size
        metadata = {"totalFrames": sum(scenario.lengths), "fps": scenario.fps, "width": width, "height": height,
                    "duration": 1}  # fmt: skip
        named = {"id": f"seed {scenario.seed}"} if scenario.has_id else {}
        cut: dict[str, Any] = {"chunks": chunks}
        if scenario.grows:
            cut = {"template": self._growing(scenario, notes)}
        elif scenario.seed % TEMPLATES_OF == 0 and not ways:
            cut = {"template": self._template(scenario, notes)}
        return {**named, "metadata": metadata, **cut, "outputFile": "video.mp4"}

    def _template(self, scenario: Scenario, notes: Path) -> dict[str, Any]:
        """The same chunks as a template."""
        source = self.path(scenario, "{start}", "{count}")
        words = ["sh", PROGRAM, notes, "{start}", scenario.seconds, "work", source, "{output}"]
        return {"command": shlex.join(map(str, words)), "outputFile": "chunk-{index}.mp4",
                "startFrame": scenario.start, "chunkFrames": scenario.lengths[0]}  # fmt: skip

    def _growing(self, scenario: Scenario, notes: Path) -> dict[str, Any]:
        """The same frames, cut while they are rendered: a chunk takes so many hundredths or tenths of a second."""
        for frame in range(total := sum(scenario.lengths)):
            for count in range(1, min(LONGEST, total - frame) + 1):
                self.piece(scenario, scenario.start + frame, count)
        source = self.path(scenario, "{start}", "{count}")
        seconds = "0.{count}" if scenario.seconds >= 0.2 else "0.0{count}"
        words = ["sh", PROGRAM, notes, "{index}", seconds, "work", source, "{output}"]
        return {"command": shlex.join(map(str, words)), "outputFile": "chunk-{index}.mp4", "longest": LONGEST,
                "startFrame": scenario.start, "targetSeconds": 10 * scenario.seconds}  # fmt: skip


def refusals(fault: Fault, how: int) -> int:
    """How often a chunk fails or lies before it works; of a slow one, the attempt that waits for another."""
    return 1 if fault is Fault.SLOW else 1 + how % 2


def _way(fault: Fault, how: int) -> str | None:
    return {
        Fault.FAIL: f"fail:{refusals(fault, how)}",
        Fault.LIE: f"lie:{refusals(fault, how)}",
        Fault.SLOW: f"slow:{how}",
        Fault.TWICE: "deaf",
    }.get(fault)
