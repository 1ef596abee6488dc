"""The fields of AV1's sequence header in words, as `helios.media.header_fields` compares them."""

from collections.abc import Iterator

from helios.media.bits import Bits

CHOSEN_PER_FRAME = 2
"""SELECT_SCREEN_CONTENT_TOOLS and SELECT_INTEGER_MV of the specification."""
SRGB = (1, 13, 0)
"""Primaries, transfer characteristic and matrix of pictures that are always 4:4:4 in full range (section 5.5.2)."""


def sequence_header(data: bytes) -> Iterator[tuple[str, object]]:
    """Of a sequence header OBU (AV1 specification, section 5.5.1)."""
    bits = Bits(data)
    profile = bits.number(3)
    yield "profile", profile
    yield "one still picture", bits.flag()
    reduced = bits.flag()
    yield "short header", reduced
    if reduced:
        yield "level", bits.number(5)
    else:
        yield from _timing_and_points(bits)
    wide, high = bits.number(4) + 1, bits.number(4) + 1
    yield "largest width", bits.number(wide) + 1
    yield "largest height", bits.number(high) + 1
    if not reduced and bits.flag():
        yield "bits of frame numbers", bits.number(7)
    yield "largest block", 128 if bits.flag() else 64
    yield "filtered intra prediction", bits.flag()
    yield "filtered intra edges", bits.flag()
    if not reduced:
        yield from _tools(bits)
    yield "scaled frames (superres)", bits.flag()
    yield "directional filter (cdef)", bits.flag()
    yield "restoration filter", bits.flag()
    yield from _colors(bits, profile)
    yield "film grain", bits.flag()


def _timing_and_points(bits: Bits) -> Iterator[tuple[str, object]]:
    delays = 0
    has_model = False
    if bits.flag():
        yield "rate", f"{bits.number(32)}:{bits.number(32)}"
        if bits.flag():
            yield "ticks of a frame", bits.unsigned()
        has_model = bits.flag()
        if has_model:
            delays = bits.number(5) + 1
            bits.number(32 + 10)
    has_delays = bits.flag()
    points = bits.number(5) + 1
    yield "operating points", points
    for point in range(points):
        bits.number(12)
        level = bits.number(5)
        yield f"level of point {point}", level
        if level > 7:
            yield f"tier of point {point}", "high" if bits.flag() else "main"
        if has_model and bits.flag():
            yield f"delays of point {point}", (bits.number(delays), bits.number(delays), bits.flag())
        if has_delays and bits.flag():
            yield f"first delay of point {point}", bits.number(4)


def _tools(bits: Bits) -> Iterator[tuple[str, object]]:
    yield "joined inter and intra prediction", bits.flag()
    yield "masked prediction", bits.flag()
    yield "warped motion", bits.flag()
    yield "two filters", bits.flag()
    has_order = bits.flag()
    yield "order of frames", has_order
    if has_order:
        yield "prediction weighted by distance", bits.flag()
        yield "motion of other frames", bits.flag()
    screen = CHOSEN_PER_FRAME if bits.flag() else bits.number(1)
    yield "screen content tools", ("off", "on", "chosen per frame")[screen]
    if screen:
        whole = CHOSEN_PER_FRAME if bits.flag() else bits.number(1)
        yield "motion by whole pixels", ("off", "on", "chosen per frame")[whole]
    if has_order:
        yield "bits of the order", bits.number(3) + 1


def _colors(bits: Bits, profile: int) -> Iterator[tuple[str, object]]:
    """The color configuration (section 5.5.2)."""
    deep = bits.flag()
    depth = 12 if deep and profile == 2 and bits.flag() else 10 if deep else 8
    yield "bits of a sample", depth
    gray = profile != 1 and bits.flag()
    yield "gray", gray
    colors = (bits.number(8), bits.number(8), bits.number(8)) if bits.flag() else (2, 2, 2)
    yield "color primaries, transfer characteristic and matrix", colors
    if gray:
        yield "full range", bits.flag()
        return
    if colors == SRGB:
        yield "chroma format", "4:4:4"
    else:
        yield "full range", bits.flag()
        across, down = profile != 1, profile == 0
        if profile == 2:
            across, down = (True, False) if depth < 12 else (bits.flag(), False)
            if depth == 12 and across:
                down = bits.flag()
        yield "chroma format", "4:2:0" if down else "4:2:2" if across else "4:4:4"
        if across and down:
            yield "place of chroma samples", bits.number(2)
    yield "QP of its own for each chroma plane", bits.flag()
