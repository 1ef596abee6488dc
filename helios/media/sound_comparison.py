"""Compare the sound of two outputs of one chunk, a tenth of a second at a time."""

from __future__ import annotations  # array.array is generic in its stubs alone

import math
import threading
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.audio.resampler import AudioResampler

from helios.errors import OutputError
from helios.media.chunk_file import ChunkFile
from helios.media.decoding import STRICT
from helios.media.lossless import is_lossless
from helios.media.verify import VerificationStoppedError

BLOCKS_PER_SECOND = 10
"""Of each block the level of the difference counts: over a whole chunk, a short difference would be lost."""

LOSSY_PSNR = 30.0
"""Good enough for lossy sound, in dB. Where a tone in AAC was changed by 66 dB below full scale, which nobody hears, it
measured 38: what an encoder makes of two sounds differs by more than they do."""


@dataclass(frozen=True)
class SoundComparison:
    """How far two sound tracks are apart."""

    is_different: bool
    """Whether they differ more than they may."""
    lowest_psnr: float = math.inf
    """Of the block that differs most: full scale over the difference (RMS), in dB; infinite where all are equal."""
    seconds: float | None = None
    """Where that block begins; None where all are equal."""
    samples: tuple[int, int] | None = None
    """The lengths of the accepted and the second track in samples per channel, where they differ."""


def compare_sound(one: ChunkFile, other: ChunkFile, *, stop: threading.Event | None = None) -> SoundComparison:
    """Compare the sound of two files that have sound of one format: lossless sound must be equal.

    Args:
        one: The accepted output, before its first packet.
        other: The second output, likewise.
        stop: Set by another thread to end the comparison early.

    Raises:
        VerificationStoppedError: `stop` was set.
        OutputError: The sound of one is damaged.
    """
    assert one.audio is not None  # noqa: S101  the caller has looked
    context = one.audio.codec_context
    exact, channels, rate = is_lossless(context), context.channels, context.sample_rate
    size = max(rate // BLOCKS_PER_SECOND, 1) * channels
    lengths, lowest, lowest_block = [0, 0], math.inf, None
    blocks = _pairs(_blocks(one, size), _blocks(other, size))
    for number, pair in enumerate(blocks):
        if stop is not None and stop.is_set():
            raise VerificationStoppedError(f"Comparing the sound of {one.path.name} was stopped")
        lengths = [length + len(block) for length, block in zip(lengths, pair, strict=True)]
        if len(pair[0]) == len(pair[1]) and (psnr := _psnr(*pair)) < lowest:
            lowest, lowest_block = psnr, number
    is_longer = lengths[0] != lengths[1]
    return SoundComparison(
        is_different=is_longer or lowest < (math.inf if exact else LOSSY_PSNR),
        lowest_psnr=lowest,
        seconds=None if lowest_block is None else lowest_block * (size // channels) / rate,
        samples=(lengths[0] // channels, lengths[1] // channels) if is_longer else None,
    )


def _psnr(one: array[float], other: array[float]) -> float:
    difference = math.dist(one, other) / math.sqrt(len(one)) if one != other else 0.0
    return -20 * math.log10(difference) if difference else math.inf


def _pairs(one: Iterator[array[float]], other: Iterator[array[float]]) -> Iterator[tuple[array[float], array[float]]]:
    """Blocks of both beside each other; an empty block where one is over."""
    nothing = array("d")
    while True:
        pair = next(one, nothing), next(other, nothing)
        if not pair[0] and not pair[1]:
            return
        yield pair


def _blocks(chunk: ChunkFile, size: int) -> Iterator[array[float]]:
    """A file's samples, channels interleaved, in blocks of `size`; the last one may be smaller."""
    held = array("d")
    for piece in _samples(chunk):
        held.frombytes(piece)
        while len(held) >= size:
            yield held[:size]
            del held[:size]
    if held:
        yield held


def _samples(chunk: ChunkFile) -> Iterator[bytes]:
    """A file's sound as numbers of 64 bits, which hold every sample of 32 bits exactly."""
    assert chunk.audio is not None  # noqa: S101
    decoder = chunk.audio.codec_context
    decoder.options = dict(STRICT)
    converter = AudioResampler(format="dbl", layout=decoder.layout, rate=decoder.sample_rate)
    try:
        for packet, index in chunk.packets():
            if index is None:
                yield from _converted(converter, packet.decode())
        yield from _converted(converter, decoder.decode(None))
    except av.FFmpegError as exc:
        raise OutputError(f"{chunk.path.name} is damaged: its sound can't be decoded ({exc.strerror})") from exc


def _converted(converter: AudioResampler, frames: Iterable[Any]) -> Iterator[bytes]:
    for frame in frames:
        frame.pts = None
        for part in converter.resample(frame):
            yield bytes(part.planes[0])[: part.samples * len(part.layout.channels) * 8]
