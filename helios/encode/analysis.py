"""Look at a source from its first picture to its last: their times, its key frames, its scenes, and what is wrong."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from av.stream import Discard
from av.video.frame import VideoFrame

from helios.encode.found import Found
from helios.encode.look import Look, OnPicture
from helios.encode.pictures import open_source
from helios.encode.pieces import PIECE_SECONDS, PieceError, look_in_pieces, pieces_of
from helios.encode.rates import constant_rate, nominal_rate
from helios.errors import RequestError

VERSION = 2
"""Of what is kept; a file of another version is not read."""
ENCRYPTED = frozenset({"encv", "drmi", "drms", "enca"})
"""Names of codecs of encrypted tracks (ISO 23001-7; Apple's)."""
MOST_AT_ONCE = 16
"""Pieces at a time: each has a decoder with its own pictures in memory."""
Progress = Callable[[int, int], None]
"""Called with the pictures that were looked at, and about how many there are (0 where that is not known)."""


@dataclass(frozen=True)
class Analysis:
    """What is known of a source's pictures."""

    times: tuple[int, ...]
    """Time stamps, in the order shown, in ticks."""
    end: int
    """Where the last picture ends, in ticks."""
    tick: Fraction
    """Seconds."""
    rate: Fraction | None
    """The constant rate in frames per second; None where there is none."""
    keyframes: tuple[int, ...]
    """Numbers of the pictures at which decoding can begin."""
    scenes: tuple[int, ...] | None
    """Numbers of the first pictures of scenes; None where they were not looked for."""

    @property
    def frames(self) -> int:
        """The number of pictures."""
        return len(self.times)

    @property
    def nominal(self) -> Fraction:
        """The constant rate, or the mean one."""
        return self.rate or nominal_rate(self.times, tick=self.tick, end=self.end)

    def to_json(self) -> str:
        """Everything, as text."""
        fields = {**asdict(self), "tick": str(self.tick), "rate": str(self.rate) if self.rate else None}
        return json.dumps({"version": VERSION, **fields})

    @classmethod
    def from_json(cls, text: str) -> Analysis | None:
        """The inverse of `to_json`; None for what another version wrote."""
        fields = json.loads(text)
        if fields.pop("version", None) != VERSION:
            return None
        rate, scenes = fields["rate"], fields["scenes"]
        return cls(
            times=tuple(fields["times"]), end=fields["end"], tick=Fraction(fields["tick"]),
            rate=Fraction(rate) if rate else None, keyframes=tuple(fields["keyframes"]),
            scenes=None if scenes is None else tuple(scenes),
        )  # fmt: skip


def analyse(
    path: Path,
    *,
    with_scenes: bool,
    on_picture: Progress | None = None,
    at_once: int | None = None,
    piece_seconds: float = PIECE_SECONDS,
) -> Analysis:
    """Read a source from its beginning to its end, where every picture is decoded in pieces side by side.

    The result is the same in one go, which also finds the words for what is wrong with a source.

    Args:
        path: The file.
        with_scenes: Whether scenes are looked for, for which every picture is decoded. Without them, key frames alone
            are decoded where packets tell the rest.
        on_picture: Told how far it is; called in several threads, one at a time.
        at_once: Pieces at a time; 1 for one go, None for as many as there are CPUs, up to 16.
        piece_seconds: Length of a piece at least.

    Raises:
        RequestError: It can't be encoded: it is no video, encrypted, damaged, truncated, or its pictures change.
    """
    total = begin(path)
    told = None if on_picture is None else partial(_tell, on_picture, total)
    found = None
    if with_scenes:
        found = _in_pieces(path, cpus=at_once or cpus_here(), seconds=piece_seconds, told=told)
    return conclude(path, found or look_through(path, with_scenes=with_scenes, on_picture=told))


def begin(path: Path) -> int:
    """Open a source, and refuse what needs no look; return about how many pictures it has, 0 where it does not say.

    Raises:
        RequestError: It is no video, or encrypted.
    """
    container, stream = open_source(path, is_strict=True)
    with container:
        if stream.codec_tag in ENCRYPTED:
            raise RequestError(f"{path.name} is encrypted ({stream.codec_tag}); expected a file that can be decoded")
        return stream.frames


def cpus_here() -> int:
    """How many pieces this machine looks at side by side: one for each CPU, up to 16."""
    return min(len(os.sched_getaffinity(0)), MOST_AT_ONCE)


def _tell(on_picture: Progress, total: int, done: int) -> None:
    on_picture(done, total)


def _in_pieces(path: Path, *, cpus: int, seconds: float, told: OnPicture | None) -> Found | None:
    """Look at a source with several CPUs; None where that is not faster, or something is wrong, which one go tells."""
    try:
        pieces = pieces_of(path, seconds=seconds) if cpus > 1 else []
        if len(pieces) < 2:
            return None
        at_once = min(cpus, len(pieces))
        return look_in_pieces(path, pieces, at_once=at_once, threads=cpus // at_once, on_picture=told)
    except (PieceError, RequestError, av.FFmpegError, OSError):
        return None


def look_through(path: Path, *, with_scenes: bool, on_picture: OnPicture | None = None) -> Found:
    """Look at a source in one go.

    Args:
        path: The file.
        with_scenes: As of `analyse`.
        on_picture: Told how many pictures were looked at.

    Raises:
        RequestError: Says what is wrong with it, and where.
    """
    container, stream = open_source(path, is_strict=True)
    with container:
        look = Look(path, stream, with_scenes=with_scenes, on_picture=on_picture)
        for other in container.streams:
            other.discard = Discard.default if other.type in {"video", "audio"} else Discard.all
        try:
            for packet in container.demux():
                look.packet(packet)
                if packet.stream is stream:
                    for frame in packet.decode():
                        assert isinstance(frame, VideoFrame)  # noqa: S101  narrows the type: it is the video's packet
                        look.picture(frame)
        except (av.FFmpegError, OSError) as exc:
            raise RequestError(
                f"{path.name} is damaged near {look.where}: {exc.strerror}; expected a file that can be read to its end"
            ) from None
        return look.found()


def conclude(path: Path, found: Found) -> Analysis:
    """What is known of a source after a look at all of it.

    Raises:
        RequestError: It ends before the end that it states, or two pictures have the same time.
    """
    container, stream = open_source(path, is_strict=True)
    with container:
        # Some containers count it from their first time stamp, others from 0: the earlier of the two ends is meant.
        found.refuse_truncated(path.name, Fraction(container.duration, 1_000_000) if container.duration else None)
        tick = stream.time_base or Fraction(1)
        stated = (stream.average_rate, stream.base_rate, stream.guessed_rate)
    times = found.in_order(path.name)
    numbers = {pts: number for number, pts in enumerate(times)}
    return Analysis(
        times=times,
        end=times[-1] + found.length_of_last(times, tick=tick),
        tick=tick,
        rate=constant_rate(times, tick=tick, stated=stated),
        keyframes=tuple(sorted(numbers[pts] for pts in found.keys if pts in numbers)),
        scenes=found.scenes,
    )
