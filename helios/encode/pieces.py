"""Look at a source in pieces, several at a time, with the same result as in one go.

A piece goes from a key frame to the next piece's. Pictures that are decoded after a key frame and shown before it
belong to the piece before, which decodes on until it has seen that key frame: so each change between two pictures is
measured once, and no decoder is given a picture whose references it has not.
"""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from threading import Event, Lock

from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.found import Found
from helios.encode.look import Look
from helios.encode.pictures import open_source

PIECE_SECONDS = 20
"""Length of a piece at least: each begins with a file to open, and ends with a key frame that is decoded twice."""
FIRST_STEP = Fraction(1)
"""Seconds by which the second try seeks further back; each further one goes twice as far."""


class PieceError(Exception):
    """The source can't be looked at in pieces; in one go it may be."""


@dataclass(frozen=True)
class Piece:
    """A range of a source, in ticks."""

    start: int | None
    """Time stamp of its first key frame; None for the file's beginning."""
    end: int | None
    """That of the next piece; None for the file's end."""


class Counter:
    """Sums up the pictures of pieces that are looked at side by side.

    Args:
        told: Called with the sum.
    """

    def __init__(self, told: Callable[[int], None] | None) -> None:
        self._told, self._sum, self._lock = told, 0, Lock()

    def __call__(self, _: int) -> None:
        """One more picture."""
        with self._lock:
            self._sum += 1
            if self._told is not None:
                self._told(self._sum)


def pieces_of(path: Path, *, seconds: float = PIECE_SECONDS) -> list[Piece]:
    """Find where a source can be cut, without decoding it; one piece where it can't.

    Args:
        path: The file.
        seconds: Length of a piece at least.

    Raises:
        RequestError: As `helios.encode.pictures.open_source`.
        av.FFmpegError, OSError: It can't be read.
    """
    container, stream = open_source(path)
    with container:
        tick, every = stream.time_base or Fraction(1), Fraction(seconds)
        length = Fraction(container.duration or 0, 1_000_000)
        begin, starts = stream.start_time or 0, list[int]()
        for number in range(1, int(length / every)):
            found = _key_near(container, stream, begin + round(number * every / tick))
            if found is not None and found > (starts[-1] if starts else begin):
                starts.append(found)
    bounds = [None, *starts, None]
    return [Piece(start, end) for start, end in pairwise(bounds)]


def _key_near(container: InputContainer, stream: VideoStream, ticks: int) -> int | None:
    """Time stamp of the key frame to which seeking leads."""
    container.seek(ticks, stream=stream)
    for packet in container.demux(stream):
        if packet.is_keyframe and packet.size:
            return packet.pts if not packet.is_discard else None
    return None


def look_in_pieces(
    path: Path, pieces: list[Piece], *, at_once: int, threads: int, on_picture: Callable[[int], None] | None = None
) -> Found:
    """Look at every picture.

    Args:
        path: The file.
        pieces: As `pieces_of` found them.
        at_once: Pieces at a time.
        threads: Of each piece's decoder.
        on_picture: Told how many pictures were looked at; called in several threads, one at a time.

    Raises:
        PieceError: Pieces have other pictures than their packets say, or a key frame was not found again.
        RequestError, av.FFmpegError, OSError: Something is wrong with the file.
    """
    counter, stop = Counter(on_picture), Event()

    def look(piece: Piece) -> Found:
        try:
            return look_at(path, piece, threads=threads, stop=stop, on_picture=counter)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(at_once, thread_name_prefix="analysis") as pool:
        try:
            found = list(pool.map(look, pieces))
        except BaseException:
            stop.set()
            raise
    return put_together(path, found)


def put_together(path: Path, found: Sequence[Found]) -> Found:
    """What was found in all pieces of a source, from the first to the last.

    Raises:
        PieceError: They have other pictures than their packets say.
    """
    whole = found[0].with_pieces(found[1:])
    if not whole.has_a_picture_for_each_packet:
        raise PieceError(f"{path.name} has other pictures in pieces than it has packets")
    return whole


def look_at(
    path: Path, piece: Piece, *, threads: int, stop: Event, on_picture: Callable[[int], None] | None = None
) -> Found:
    """Look at one piece, and at the first picture of the next.

    Raises:
        PieceError: The piece's key frame, or the next one's, is not there; or the others were stopped.
        RequestError, av.FFmpegError, OSError: Something is wrong with the file.
    """
    container, stream = open_source(path, is_strict=True)
    with container:
        stream.codec_context.thread_count = threads
        look = Look(path, stream, with_scenes=True, on_picture=on_picture)
        for other in container.streams:
            other.discard = Discard.default if other.type in {"video", "audio"} else Discard.all
        for frame in _decoded(look, container, stream, piece):
            if stop.is_set():
                raise PieceError("Another piece has failed")
            if piece.end is None or (frame.pts is not None and frame.pts < piece.end):
                look.picture(frame)
                continue
            if frame.pts != piece.end:
                break
            look.picture_after(frame)
            return look.found()
        if piece.end is not None:
            raise PieceError(f"{path.name} has no picture at {piece.end} where a key frame was found")
        return look.found()


def _decoded(look: Look, container: InputContainer, stream: VideoStream, piece: Piece) -> Iterator[VideoFrame]:
    """Pictures from a piece's first one on, in the order shown; its own packets are noted meanwhile."""
    is_own = True
    for packet in _packets(container, stream, piece.start):
        if packet.stream is stream and packet.size and packet.is_keyframe and packet.pts == piece.end:
            is_own = False
        if is_own:
            look.packet(packet)
        is_shown_before = piece.start is not None and packet.pts is not None and packet.pts < piece.start
        if packet.stream is stream and not is_shown_before:
            for frame in packet.decode():
                assert isinstance(frame, VideoFrame)  # noqa: S101  narrows the type: it is the video's packet
                yield frame


def _packets(container: InputContainer, stream: VideoStream, start: int | None) -> Iterator[Packet[Stream]]:
    """Packets from a key frame on."""
    if start is None:
        yield from container.demux()
        return
    begin, step = stream.start_time or 0, round(FIRST_STEP / (stream.time_base or Fraction(1)))
    # Without an index, seeking leads into the middle of a packet, which then lacks its beginning.
    back = step if container.format.name == "mpegts" else 0
    while True:
        container.seek(max(start - back, begin), stream=stream)
        packets = container.demux()
        for packet in packets:
            if packet.stream is stream and packet.size and packet.is_keyframe and (packet.pts or 0) >= start:
                break
        else:
            raise PieceError(f"No key frame at {start}")
        if packet.pts == start:
            yield from chain([packet], packets)
            return
        if start - back <= begin:
            raise PieceError(f"No key frame at {start}; the next one is at {packet.pts}")
        back = 2 * back or step
