"""The fields of H.265's parameter sets in words, as `helios.media.header_fields` compares them."""

from collections.abc import Iterator

from helios.media.bits import Bits

NAL_HEADER = 2
"""Bytes."""
SUB_LAYER_BITS, SUB_LAYER_LEVEL_BITS = 88, 8


def hevc_vps(data: bytes) -> Iterator[tuple[str, object]]:
    """Of a video parameter set (ITU-T H.265, 7.3.2.1), up to the order of pictures."""
    bits = Bits(data[NAL_HEADER:], escaped=True)
    yield "number", bits.number(4)
    bits.number(2)
    yield "layers", bits.number(6) + 1
    layers = bits.number(3)
    yield "temporal layers", layers + 1
    yield "nesting of temporal layers", bits.flag()
    bits.number(16)
    yield from _profile(bits, layers)
    yield from _order(bits, layers)


def hevc_sps(data: bytes) -> Iterator[tuple[str, object]]:
    """Of a sequence parameter set (7.3.2.2.1), up to the sets of reference pictures."""
    bits = Bits(data[NAL_HEADER:], escaped=True)
    yield "number of its VPS", bits.number(4)
    layers = bits.number(3)
    yield "temporal layers", layers + 1
    yield "nesting of temporal layers", bits.flag()
    yield from _profile(bits, layers)
    yield "number", bits.unsigned()
    chroma = bits.unsigned()
    yield "chroma format", chroma
    if chroma == 3:
        yield "separate color planes", bits.flag()
    yield "width", bits.unsigned()
    yield "height", bits.unsigned()
    yield "cropping", [bits.unsigned() for _ in range(4)] if bits.flag() else "none"
    yield "bits of luma", bits.unsigned() + 8
    yield "bits of chroma", bits.unsigned() + 8
    yield "bits of the picture order", bits.unsigned() + 4
    yield from _order(bits, layers)
    smallest = 3 + bits.unsigned()
    yield "smallest block (min-cu-size)", 1 << smallest
    yield "largest block (ctu)", 1 << smallest + bits.unsigned()
    transform = 2 + bits.unsigned()
    yield "smallest transform", 1 << transform
    yield "largest transform (max-tu-size)", 1 << transform + bits.unsigned()
    yield "depth of transforms between frames (tu-inter-depth)", bits.unsigned() + 1
    yield "depth of transforms in a frame (tu-intra-depth)", bits.unsigned() + 1
    yield "scaling lists", (has_lists := bits.flag())
    if has_lists and bits.flag():
        return  # the lists themselves
    yield "asymmetric blocks (amp)", bits.flag()
    yield "sample adaptive offset (sao)", bits.flag()
    if bits.flag():
        yield "uncompressed blocks", (bits.number(8), bits.unsigned(), bits.unsigned(), bits.flag())
    sets = bits.unsigned()
    yield "sets of reference pictures", sets
    if sets:
        return
    if bits.flag():
        return  # long-term reference pictures
    yield "motion of the frame before (temporal-mvp)", bits.flag()
    yield "strong smoothing (strong-intra-smoothing)", bits.flag()


def hevc_pps(data: bytes) -> Iterator[tuple[str, object]]:
    """Of a picture parameter set (7.3.2.3.1), up to its scaling lists."""
    bits = Bits(data[NAL_HEADER:], escaped=True)
    yield "number", bits.unsigned()
    yield "number of its SPS", bits.unsigned()
    yield "dependent slices", bits.flag()
    yield "pictures that are not shown", bits.flag()
    yield "extra bits of slices", bits.number(3)
    yield "hidden signs (signhide)", bits.flag()
    yield "start of CABAC set per slice", bits.flag()
    yield "reference pictures in list 0", bits.unsigned() + 1
    yield "reference pictures in list 1", bits.unsigned() + 1
    yield "initial QP", bits.signed() + 26
    yield "constrained intra prediction", bits.flag()
    yield "transform skipping (tskip)", bits.flag()
    yield "QP set per block", (per_block := bits.flag())
    if per_block:
        yield "depth of blocks with a QP of their own", bits.unsigned()
    yield "QP offsets of chroma", (bits.signed(), bits.signed())
    yield "QP offsets of chroma set per slice", bits.flag()
    yield "weighted prediction of P frames (weightp)", bits.flag()
    yield "weighted prediction of B frames (weightb)", bits.flag()
    yield "lossless blocks", bits.flag()
    has_tiles = bits.flag()
    yield "tiles", has_tiles
    yield "rows in parallel (wpp)", bits.flag()
    if has_tiles:
        columns, rows = bits.unsigned(), bits.unsigned()
        yield "rows and columns of tiles", (rows + 1, columns + 1)
        if not bits.flag():
            yield "sizes of tiles", [bits.unsigned() for _ in range(columns + rows)]
        yield "loop filter across tiles", bits.flag()
    yield "loop filter across slices", bits.flag()
    if bits.flag():
        yield "deblocking filter set per slice", bits.flag()
        yield "deblocking filter", (is_on := not bits.flag())
        if is_on:
            yield "strengths of the deblocking filter", (bits.signed(), bits.signed())


def _profile(bits: Bits, layers: int) -> Iterator[tuple[str, object]]:
    """Profile, tier and level (7.3.3)."""
    bits.number(2)
    yield "tier", "high" if bits.flag() else "main"
    yield "profile", bits.number(5)
    yield "compatible profiles", f"{bits.number(32):08x}"
    yield "profile's constraints", f"{bits.number(48):012x}"
    yield "level", bits.number(8) / 30
    if not layers:
        return
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    bits.number(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.number(SUB_LAYER_BITS * has_profile + SUB_LAYER_LEVEL_BITS * has_level)


def _order(bits: Bits, layers: int) -> Iterator[tuple[str, object]]:
    """How many frames are kept and reordered (7.3.2.1, 7.3.2.2.1)."""
    numbers = [[bits.unsigned() for _ in range(3)] for _ in range(layers + 1 if bits.flag() else 1)]
    kept, reordered, delayed = numbers[-1]
    yield "frames that a decoder keeps", kept + 1
    yield "frames shown later than decoded", reordered
    yield "longest delay", delayed
