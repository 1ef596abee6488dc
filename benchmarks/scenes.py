"""Compare ways to find scenes on ten clips whose cuts are known: `python -m benchmarks.scenes [FIRST_SEED]`.

An encode compares each change that FFmpeg's scdet measures with those around it. Beside it stands scdet with its own
threshold; other seeds make other clips than those by which the rule was chosen. PySceneDetect is measured where it is
installed (`pip install scenedetect opencv-python-headless`), and is no dependency of this project.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from helios.encode.filters import FilterChain
from helios.encode.scenes import SceneFinder, cuts_of

Picture = NDArray[np.float64]
SIZE, RATE = (240, 136), 24
SCENE_FRAMES = (31, 52, 24, 77, 40, 63, 28, 45)
"""Lengths of a clip's scenes."""
NEAR = 1
"""Frames by which a cut that was found may be off."""


@lru_cache(maxsize=64)
def background(seed: int, *, smooth: int = 12, low: float = 0, high: float = 255) -> Picture:
    """A picture of soft colored shapes, twice as wide as a frame; shape (136, 480, 3)."""
    rng = np.random.default_rng(seed)
    small = rng.random((SIZE[1] // smooth + 2, 2 * SIZE[0] // smooth + 2, 3))
    big = small.repeat(smooth, axis=0).repeat(smooth, axis=1)[: SIZE[1], : 2 * SIZE[0]]
    for axis in (0, 1):
        for _ in range(2):
            near = range(-(smooth // 3), smooth // 3 + 1)
            big = np.mean([np.roll(big, shift, axis) for shift in near], axis=0)
    spread = (big - big.min()) / (big.max() - big.min())
    return np.asarray(low + spread * (high - low))


def view(scene: Picture, at: float) -> Picture:
    """What a camera sees that has moved this many pixels to the right."""
    return np.roll(scene, -round(at), axis=1)[:, : SIZE[0]]


def still(seed: int, frame: int, _: int) -> Picture:
    return view(background(seed), 0)


def pan(seed: int, frame: int, _: int) -> Picture:
    return view(background(seed), 1.5 * frame)


def fast_pan(seed: int, frame: int, _: int) -> Picture:
    return view(background(seed), 11 * frame)


def shaky(seed: int, frame: int, _: int) -> Picture:
    rng = np.random.default_rng(seed * 1000 + frame)
    return view(background(seed), 100 + int(rng.integers(-7, 8)))


def dark(seed: int, frame: int, _: int) -> Picture:
    return view(background(seed, low=4, high=44), frame)


def alike(seed: int, frame: int, _: int) -> Picture:
    """Scenes of the same colors, as in a dialogue in one room."""
    room, person = background(7), background(seed, smooth=20)
    shown = view(room, 20 * (seed % 2)).copy()
    shown[30:120, 60:180] = view(person, 0)[30:120, 60:180]
    return view(np.tile(shown, (1, 2, 1)), frame * 0.2)


def grainy(seed: int, frame: int, _: int) -> Picture:
    rng = np.random.default_rng(seed * 1000 + frame)
    return view(background(seed), frame) + rng.normal(0, 18, (SIZE[1], SIZE[0], 3))


def flashes(seed: int, frame: int, _: int) -> Picture:
    """A white flash of one frame in the middle of each scene, which is no cut."""
    return view(background(seed), frame) + (190 if frame == 12 else 0)


def fades(seed: int, frame: int, length: int) -> Picture:
    """Scenes that begin and end in black: the cut is where black is."""
    return view(background(seed), frame) * min(frame / 10, (length - 1 - frame) / 10, 1.0)


def crowd(seed: int, frame: int, _: int) -> Picture:
    """Large things that move through the picture."""
    shown = view(background(seed), 0).copy()
    for number in range(6):
        place, color = np.random.default_rng(seed * 10 + number), background(seed + 50 + number)
        x = int(place.integers(0, 240) + frame * place.integers(-7, 8)) % 200
        y = int(place.integers(0, 75))
        shown[y : y + 55, x : x + 40] = color[y : y + 55, :40]
    return shown


KINDS: dict[str, Callable[[int, int, int], Picture]] = {
    kind.__name__: kind for kind in (still, pan, fast_pan, shaky, dark, alike, grainy, flashes, fades, crowd)
}


def write(path: Path, kind: Callable[[int, int, int], Picture], *, first_seed: int = 11) -> list[int]:
    """Write a clip; return the first frames of its scenes, but for the first."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "veryfast"})
        assert isinstance(video, VideoStream)
        (video.width, video.height), video.pix_fmt = SIZE, "yuv420p"
        cuts, number = [], 0
        for seed, length in enumerate(SCENE_FRAMES, start=first_seed):
            cuts.append(number)
            for frame in range(length):
                pixels = np.clip(kind(seed, frame, length), 0, 255).astype(np.uint8)
                picture = VideoFrame.from_ndarray(pixels, format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, RATE)
                output.mux(video.encode(picture))
                number += 1
        output.mux(video.encode(None))
    return cuts[1:]


def by_scdet(path: Path) -> list[int]:
    """What an encode finds."""
    finder = SceneFinder()
    with av.open(str(path)) as video:
        video.streams.video[0].thread_type = "AUTO"
        for frame in video.decode(video=0):
            finder.take(frame)
    return cuts_of(finder.changes)


def by_threshold(path: Path) -> list[int]:
    """What scdet finds by its own threshold."""
    found: list[bool] = []
    with av.open(str(path)) as video:
        video.streams.video[0].thread_type = "AUTO"
        filters = None
        for frame in video.decode(video=0):
            filters = filters or FilterChain([("scdet", "t=10")], like=frame, time_base=Fraction(1, 1000))
            found += [float(one.metadata["lavfi.scd.score"]) >= 10 for one in filters.feed(frame)]
    return [number for number, is_cut in enumerate(found) if number and is_cut]


def by_pyscenedetect(name: str) -> Callable[[Path], list[int]]:
    """What one of PySceneDetect's detectors finds, with its defaults."""

    def found(path: Path) -> list[int]:
        scenedetect = import_module("scenedetect")

        detector = getattr(scenedetect, name)()
        return [start.frame_num for start, _ in scenedetect.detect(str(path), detector)][1:]

    return found


def methods() -> Iterator[tuple[str, Callable[[Path], list[int]]]]:
    """The ways that can be measured here."""
    yield "scdet, beside its neighbours", by_scdet
    yield "scdet, its threshold", by_threshold
    if find_spec("scenedetect"):
        for name in ("ContentDetector", "AdaptiveDetector", "HistogramDetector"):
            yield name, by_pyscenedetect(name)


def score(found: list[int], wanted: list[int]) -> tuple[int, int]:
    """Cuts that were missed, and cuts that are none."""
    missed = sum(all(abs(one - cut) > NEAR for one in found) for cut in wanted)
    return missed, sum(all(abs(one - cut) > NEAR for cut in wanted) for one in found)


def main() -> None:
    """Write the clips, and print for each way and clip the cuts missed, the cuts that are none, and seconds."""
    first_seed = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    with tempfile.TemporaryDirectory() as folder:
        clips = {name: Path(folder, f"{name}.mp4") for name in KINDS}
        cuts = {name: write(clips[name], kind, first_seed=first_seed) for name, kind in KINDS.items()}
        for method, find in methods():
            total, spent = [0, 0], 0.0
            for name, path in clips.items():
                began = time.perf_counter()
                found = find(path)
                spent += time.perf_counter() - began
                missed, wrong = score(found, cuts[name])
                total = [total[0] + missed, total[1] + wrong]
                print(json.dumps({"method": method, "clip": name, "missed": missed, "wrong": wrong}))
            told = {"cuts": sum(map(len, cuts.values())), "missed": total[0], "wrong": total[1]}
            print(json.dumps({"method": method, **told, "seconds": round(spent, 2)}), flush=True)


if __name__ == "__main__":
    main()
