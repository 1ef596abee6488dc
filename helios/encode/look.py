"""Take a source's packets and pictures, and keep what they tell: times, key frames, scenes, and what is wrong."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.found import Found
from helios.encode.scenes import SceneFinder
from helios.errors import RequestError

PACKETS_ARE_NOT_FRAMES = frozenset({"vp8", "vp9"})
"""Codecs that have packets without a picture of their own, so that packets can't be counted for pictures."""
OnPicture = Callable[[int], None]
"""Called with the number of pictures that were looked at."""


class Look:
    """What is found in a source, or in a piece of it.

    Args:
        path: The file, for messages.
        stream: Its video.
        with_scenes: Whether scenes are looked for, for which every picture is decoded.
        on_picture: Told how far it is.
    """

    def __init__(
        self, path: Path, stream: VideoStream, *, with_scenes: bool, on_picture: OnPicture | None = None
    ) -> None:
        self._path, self._stream, self._told = path, stream, on_picture
        self._finder = SceneFinder() if with_scenes else None
        self._has_packets_without_pictures = stream.codec_context.name in PACKETS_ARE_NOT_FRAMES
        self._counts_packets = not with_scenes and not self._has_packets_without_pictures
        if self._counts_packets:
            stream.codec_context.skip_frame = "NONKEY"
        self._kind: tuple[int, int, str] | None = None
        self._times: list[int] = []
        self._keys: set[int] = set()
        self._durations: dict[int, int] = {}
        self._file_end = Fraction(0)

    @property
    def where(self) -> str:
        """How far it has come, for people."""
        return f"picture {len(self._times)}"

    def packet(self, packet: Packet[Stream]) -> None:
        """Note what a packet says."""
        if packet.size and packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._file_end = max(self._file_end, Fraction(end))
        if packet.stream is not self._stream or not packet.size:
            return
        if packet.is_corrupt:
            raise RequestError(f"{self._path.name} is truncated or damaged near {self.where}; expected a whole file")
        if packet.has_sidedata("encryption_info"):
            raise RequestError(f"{self._path.name} is encrypted; expected a file that can be decoded")
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

    def picture(self, frame: VideoFrame) -> None:
        """Look at the next picture in the order shown."""
        self._compare_kind(frame)
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

    def picture_after(self, frame: VideoFrame) -> None:
        """Look at the first picture of the next piece: only whether a scene begins with it, and whether it is alike."""
        self._compare_kind(frame)
        if self._finder is not None:
            self._finder.take(frame)

    def _compare_kind(self, frame: VideoFrame) -> None:
        kind = (frame.width, frame.height, frame.format.name)
        if (before := self._kind) not in (None, kind):
            assert before is not None  # noqa: S101  narrows the type
            raise RequestError(
                f"The pictures of {self._path.name} change from {before[0]}×{before[1]} {before[2]} to {kind[0]}×"
                f"{kind[1]} {kind[2]} near {self.where}; expected one kind: cut the file there, and encode the parts"
            )
        self._kind = kind

    def _count(self, pts: int) -> None:
        self._times.append(pts)
        if self._told is not None:
            self._told(len(self._times))

    def found(self) -> Found:
        """What it has seen, as numbers; pictures that were kept to compare the next one with are let go."""
        changes = None
        if self._finder is not None:
            self._finder.end()
            changes = self._finder.changes
        return Found(
            times=tuple(self._times),
            keys=frozenset(self._keys),
            durations=dict(self._durations),
            file_end=self._file_end,
            changes=changes,
            has_packets_without_pictures=self._has_packets_without_pictures,
        )
