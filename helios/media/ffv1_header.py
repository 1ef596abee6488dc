"""The fields of FFV1's configuration record in words, as `helios.media.header_fields` compares them.

The record is coded by the codec's own range coder (RFC 9043, section 3.8.1, with FFmpeg's order of operations).
"""

from collections.abc import Iterator

ONE = 1 << 32
RATE, MOST = int(0.05 * ONE), 256 - 8
"""By how much a state moves, and the largest; FFmpeg's numbers, from which the RFC's default table comes."""
MIDDLE = 128
QUANTIZED = 5
"""Quantization tables of a set (section 4.9)."""
MOST_TABLES, MOST_CONTEXTS = 8, 32768
"""FFmpeg's bounds; a damaged record may name billions."""
SLACK = 4
"""Bytes."""


def configuration(data: bytes) -> Iterator[tuple[str, object]]:
    """Of a configuration record (section 4.3); version 3 and later have one."""
    coder = _RangeCoder(data)
    states = [MIDDLE] * 32
    version = coder.symbol(states)
    yield "version", version
    if version > 2:
        yield "minor version", coder.symbol(states)
    entropy = coder.symbol(states)
    yield "coder", ("Golomb-Rice", "range", "range with a table of its own")[min(entropy, 2)]
    if entropy > 1:
        yield "the coder's table", [coder.symbol(states, signed=True) for _ in range(1, 256)]
    yield "color space", "RGB" if coder.symbol(states) else "YCbCr"
    yield "bits of a sample", coder.symbol(states)
    yield "chroma", bool(coder.bit(states, 0))
    yield "chroma subsampling", (coder.symbol(states), coder.symbol(states))
    yield "alpha", bool(coder.bit(states, 0))
    across, down = coder.symbol(states) + 1, coder.symbol(states) + 1
    yield "slices", f"{across} × {down}"
    tables = coder.symbol(states)
    if tables > MOST_TABLES:
        raise IndexError
    yield "quantization tables", tables
    contexts = [coder.quantization() for _ in range(tables)]
    yield "contexts", contexts
    if max(contexts, default=0) > MOST_CONTEXTS:
        raise IndexError
    for count in contexts:
        if coder.bit(states, 0):
            kept = [[MIDDLE] * 32 for _ in range(32)]
            for _ in range(count):
                for state in kept:
                    coder.symbol(state, signed=True)
    yield "checksums of slices (slicecrc)", bool(coder.symbol(states))
    yield "only intra frames", bool(coder.symbol(states))


class _RangeCoder:
    """Decodes bits, each with a state that says how likely it is."""

    def __init__(self, data: bytes) -> None:
        self._ones = _one_states()
        self._data, self._at = data, 2
        self._low = int.from_bytes(data[:2])
        self._range = 0xFF00

    def bit(self, states: list[int], place: int) -> int:
        """Decode one bit, and move its state."""
        state = states[place]
        part = self._range * state >> 8
        self._range -= part
        bit = int(self._low >= self._range)
        if bit:
            self._low -= self._range
            self._range = part
            states[place] = self._ones[state]
        else:
            states[place] = 256 - self._ones[256 - state]
        if self._range < 0x100:
            self._range <<= 8
            self._low = (self._low << 8) + self._next()
        return bit

    def _next(self) -> int:
        """The next byte; the coder reads a few zeros behind the last one, and no more (section 3.8.1.1.1)."""
        if self._at >= len(self._data) + SLACK:
            raise IndexError
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def symbol(self, states: list[int], *, signed: bool = False) -> int:
        """Decode a number (section 3.8.1.2)."""
        if self.bit(states, 0):
            return 0
        exponent = 0
        while self.bit(states, 1 + min(exponent, 9)):
            exponent += 1
            if exponent > 31:
                raise IndexError
        number = 1
        for place in reversed(range(exponent)):
            number += number + self.bit(states, 22 + min(place, 9))
        return -number if signed and self.bit(states, 11 + min(exponent, 10)) else number

    def quantization(self) -> int:
        """Pass over a set of quantization tables; return its number of contexts (section 4.9)."""
        contexts = 1
        for _ in range(QUANTIZED):
            states, filled, value = [MIDDLE] * 32, 0, 0
            while filled < 128:
                filled += self.symbol(states) + 1
                value += 1
            contexts *= 2 * value - 1
        return (contexts + 1) // 2


def _one_states() -> list[int]:
    """The state after a 1, by the state before; FFmpeg's `ff_build_rac_states`."""
    ones = [0] * 257
    chance, last = ONE // 2, 0
    for _ in range(128):
        state = max((256 * chance + ONE // 2) >> 32, last + 1)
        if last and last < 256 and state <= MOST:
            ones[last] = state
        chance += ((ONE - chance) * RATE + ONE // 2) >> 32
        last = state
    for state in range(256 - MOST, MOST + 1):
        if not ones[state]:
            chance = (state * ONE + 128) >> 8
            chance += ((ONE - chance) * RATE + ONE // 2) >> 32
            ones[state] = min(max((256 * chance + ONE // 2) >> 32, state + 1), MOST)
    return ones
