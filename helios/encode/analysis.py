"""Look at a source from its first picture to its last: their times, its key frames, its scenes, and what is wrong."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.pictures import open_source
from helios.encode.rates import constant_rate, nominal_rate
from helios.encode.scenes import SceneFinder
from helios.errors import RequestError

VERSION = 2
"""Of what is kept; a file of another version is not read."""
PACKETS_ARE_NOT_FRAMES = frozenset({"vp8", "vp9"})
"""Codecs that have packets without a picture of their own, so that packets can't be counted for pictures."""
ENCRYPTED = frozenset({"encv", "drmi", "drms", "enca"})
"""Names of codecs of encrypted tracks (ISO 23001-7; Apple's)."""
MISSING_SECONDS = 2.0
"""By so much a file may end before the end that it states."""
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


def analyse(path: Path, *, with_scenes: bool, on_picture: Progress | None = None) -> Analysis:
    """Read a source from its beginning to its end.

    Args:
        path: The file.
        with_scenes: Whether scenes are looked for, for which every picture is decoded. Without them, key frames alone
            are decoded where packets tell the rest.
        on_picture: Told how far it is.

    Raises:
        RequestError: It can't be encoded: it is no video, encrypted, damaged, truncated, or its pictures change.
    """
    container, stream = open_source(path, is_strict=True)
    with container:
        _refuse_encrypted(stream, path)
        look = _Look(path, stream, with_scenes=with_scenes, on_picture=on_picture)
        for other in container.streams:
            other.discard = Discard.default if other.type in {"video", "audio"} else Discard.all
        try:
            for packet in container.demux():
                look.packet(packet)
        except (av.FFmpegError, OSError) as exc:
            raise RequestError(
                f"{path.name} is damaged near {look.where}: {exc.strerror}; expected a file that can be read to its end"
            ) from None
        # Some containers count it from their first time stamp, others from 0: the earlier of the two ends is meant.
        look.refuse_truncated(Fraction(container.duration, 1_000_000) if container.duration else None)
        return look.result(stated=(stream.average_rate, stream.base_rate, stream.guessed_rate))


def _refuse_encrypted(stream: VideoStream, path: Path) -> None:
    if stream.codec_tag in ENCRYPTED:
        raise RequestError(f"{path.name} is encrypted ({stream.codec_tag}); expected a file that can be decoded")


class _Look:
    """Takes packets, and keeps what they tell."""

    def __init__(self, path: Path, stream: VideoStream, *, with_scenes: bool, on_picture: Progress | None) -> None:
        self._path, self._stream, self._told = path, stream, on_picture
        self._tick = stream.time_base or Fraction(1)
        self._finder = SceneFinder() if with_scenes else None
        self._counts_packets = not with_scenes and stream.codec_context.name not in PACKETS_ARE_NOT_FRAMES
        if self._counts_packets:
            stream.codec_context.skip_frame = "NONKEY"
        self._kind: tuple[int, int, str] | None = None
        self._times: list[int] = []
        self._keys: set[int] = set()
        self._durations: dict[int, int] = {}
        self._file_end = Fraction(0)
        self._expected = stream.frames

    @property
    def where(self) -> str:
        """How far it has come, for people."""
        return f"picture {len(self._times)}"

    def packet(self, packet: Packet[Stream]) -> None:
        """Look at the next packet."""
        if packet.size and packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._file_end = max(self._file_end, Fraction(end))
        if packet.stream is not self._stream:
            return
        if packet.size:
            if packet.is_corrupt:
                raise RequestError(
                    f"{self._path.name} is truncated or damaged near {self.where}; expected a whole file"
                )
            if packet.has_sidedata("encryption_info"):
                raise RequestError(f"{self._path.name} is encrypted; expected a file that can be decoded")
            self._note(packet)
        for frame in packet.decode():
            assert isinstance(frame, VideoFrame)  # noqa: S101  narrows the type: it is the video's packet
            self._picture(frame)

    def _note(self, packet: Packet[Stream]) -> None:
        if packet.pts is None:
            if self._counts_packets:
                raise RequestError(
                    f"{self._path.name} has pictures without a time stamp; write it into .mkv or .mp4 first, or have "
                    "every picture decoded (--cut scenes)"
                )
            return
        if packet.is_discard:
            return  # an edit list hides it
        self._durations[packet.pts] = packet.duration or 0
        if packet.is_keyframe:
            self._keys.add(packet.pts)
        if self._counts_packets:
            self._count(packet.pts)

    def _picture(self, frame: VideoFrame) -> None:
        kind = (frame.width, frame.height, frame.format.name)
        if self._kind not in (None, kind):
            before = self._kind
            assert before is not None  # noqa: S101  narrows the type
            raise RequestError(
                f"The pictures of {self._path.name} change from {before[0]}×{before[1]} {before[2]} to {kind[0]}×"
                f"{kind[1]} {kind[2]} near {self.where}; expected one kind: cut the file there, and encode the parts"
            )
        self._kind = kind
        if self._counts_packets:
            return
        if frame.pts is None:
            raise RequestError(
                f"{self._path.name} has pictures without a time stamp; write it into .mkv or .mp4 first (ffmpeg -i "
                f"{self._path.name} -c copy {self._path.stem}.mkv)"
            )
        if frame.is_corrupt:
            raise RequestError(f"{self._path.name} is damaged at {self.where}; expected a file that can be decoded")
        self._count(frame.pts)
        if self._finder is not None:
            self._finder.take(frame)

    def _count(self, pts: int) -> None:
        self._times.append(pts)
        if self._told is not None:
            self._told(len(self._times), self._expected)

    def refuse_truncated(self, stated_end: Fraction | None) -> None:
        """Refuse a file whose packets end before the end that it states.

        Raises:
            RequestError: Says where it ends.
        """
        if not self._times:
            raise RequestError(f"{self._path.name} has no picture that can be decoded; expected a video")
        if stated_end is not None and stated_end - self._file_end > MISSING_SECONDS:
            raise RequestError(
                f"{self._path.name} ends at {float(self._file_end):.1f} s, and says that it goes on to "
                f"{float(stated_end):.1f} s: it is truncated; expected a whole file"
            )

    def result(self, *, stated: tuple[Fraction | None, ...]) -> Analysis:
        """Put it together."""
        times = sorted(self._times)
        if len(set(times)) != len(times):
            raise RequestError(
                f"{self._path.name} has two pictures with the same time stamp; expected one time for each: write it "
                "into .mkv with new ones first"
            )
        last = self._durations.get(times[-1]) or (
            times[-1] - times[-2] if len(times) > 1 else round(1 / self._tick / 25)
        )
        rate = constant_rate(times, tick=self._tick, stated=stated)
        numbers = {pts: number for number, pts in enumerate(times)}
        return Analysis(
            times=tuple(times),
            end=times[-1] + max(last, 1),
            tick=self._tick,
            rate=rate,
            keyframes=tuple(sorted(numbers[pts] for pts in self._keys if pts in numbers)),
            scenes=tuple(self._finder.cuts) if self._finder else None,
        )
