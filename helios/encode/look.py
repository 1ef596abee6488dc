"""Take a source's packets and pictures, and keep what they tell: times, key frames, scenes, and what is wrong."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.scenes import SceneFinder
from helios.errors import RequestError

PACKETS_ARE_NOT_FRAMES = frozenset({"vp8", "vp9"})
"""Codecs that have packets without a picture of their own, so that packets can't be counted for pictures."""
MISSING_SECONDS = 2.0
"""By so much a file may end before the end that it states."""
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
        self._tick = stream.time_base or Fraction(1)
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

    def end(self) -> None:
        """Let go of pictures; what was found stays."""
        if self._finder is not None:
            self._finder.end()

    def add(self, pieces: Iterable[Look]) -> None:
        """Append what the pieces after this one found; each has looked at the first picture of the next."""
        for piece in pieces:
            self._times += piece._times
            self._keys |= piece._keys
            self._durations |= piece._durations
            self._file_end = max(self._file_end, piece._file_end)
            if self._finder is not None and piece._finder is not None:
                self._finder.add(piece._finder)

    @property
    def has_a_picture_for_each_packet(self) -> bool:
        """Whether nothing was lost or found twice, as far as packets tell."""
        return self._has_packets_without_pictures or sorted(self._times) == sorted(self._durations)

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

    def times(self) -> list[int]:
        """The pictures' time stamps, in the order shown.

        Raises:
            RequestError: Two have the same.
        """
        times = sorted(self._times)
        if len(set(times)) != len(times):
            raise RequestError(
                f"{self._path.name} has two pictures with the same time stamp; expected one time for each: write it "
                "into .mkv with new ones first"
            )
        return times

    def length_of_last(self, times: list[int]) -> int:
        """Ticks for which the last picture is shown; at least 1."""
        found = self._durations.get(times[-1]) or (
            times[-1] - times[-2] if len(times) > 1 else round(1 / self._tick / 25)
        )
        return max(found, 1)

    @property
    def keys(self) -> frozenset[int]:
        """Time stamps of key frames."""
        return frozenset(self._keys)

    @property
    def scenes(self) -> tuple[int, ...] | None:
        """Numbers of the first pictures of scenes; None where they were not looked for."""
        return tuple(self._finder.cuts) if self._finder else None
