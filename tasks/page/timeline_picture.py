"""The timeline as a picture: an SVG of some ten kilobytes, whatever the job's size.

It has a ground of its own, so that it can be read in Prefect's light and dark theme: a picture does not know the
theme of the page that it is in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from xml.sax.saxutils import escape

from helios.models.report_text import duration
from tasks.page.timeline import Kind, Stretch, chunk_stretches, hedge_stretches, joining
from tasks.run.run import Run

MOST_ROWS = 200
"""A job of more chunks is drawn as areas: how many attempts were at what."""
BINS = 240
"""Steps of the areas."""
WIDTH, LEFT, RIGHT, TOP = 960.0, 64.0, 16.0, 44.0
ROW_HEIGHTS = (6.0, 18.0)
"""Heights of a chunk's row, the least and the most."""
ROWS_HEIGHT = 420.0
"""The height of all rows together, if the bounds of a row allow it."""
AREAS_HEIGHT = 260.0
LABEL_SIZE = 10.0
"""Of the names of machines and GPUs on a bar."""
LEAST_WIDTH = 0.6
"""A shorter stretch would be invisible; unless it is a wait, it is drawn this wide."""
LEAST_SECONDS = 0.005
"""A shorter stretch is not drawn, except the reuse of a chunk."""
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)

COLOURS = {
    Kind.QUEUED: "#c9d1dc",
    Kind.BOOTING: "#8b7fd6",
    Kind.RENDERING: "#2f7de1",
    Kind.RETRYING: "#f0a020",
    Kind.FAILED: "#d9364f",
    Kind.HEDGING: "#c05fc9",
    Kind.STOPPED: "#8a6d5a",
    Kind.UPLOADING: "#1f9e9e",
    Kind.CHECKING: "#86c5f7",
    Kind.REUSED: "#6b7686",
    Kind.STITCHING: "#2fa35a",
}
STACKED = (
    Kind.RENDERING,
    Kind.RETRYING,
    Kind.HEDGING,
    Kind.FAILED,
    Kind.STOPPED,
    Kind.BOOTING,
    Kind.UPLOADING,
    Kind.CHECKING,
)
"""The kinds that areas show, from below; waiting has no area."""


def draw_timeline(run: Run, now: float) -> str:
    """Draw what each chunk and each attempt did from the run's begin until now, and the join; returns an SVG."""
    rows = [
        (record.chunk.id, [*chunk_stretches(record, now), *hedge_stretches(record, now)])
        for record in run.ledger.ordered
    ]
    if len({stretch.machine for _, stretches in rows for stretch in stretches} - {""}) < 2:
        rows = [(number, [replace(stretch, machine="") for stretch in stretches]) for number, stretches in rows]
    join = joining(run, now)
    scale = (WIDTH - LEFT - RIGHT) / max(now, 0.1)
    if len(rows) <= MOST_ROWS:
        height, drawn = _rows(rows, join, scale)
    else:
        height, drawn = _areas([stretches for _, stretches in rows], join, scale, max(now, 0.1))
    seen = {stretch.kind for _, stretches in rows for stretch in stretches if _is_seen(stretch)}
    seen = (seen if len(rows) <= MOST_ROWS else seen - {Kind.QUEUED}) | ({join.kind} if join else set())
    bottom = TOP + height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {bottom + 32:g}" width="{WIDTH:g}" '
        f'height="{bottom + 32:g}" font-family="sans-serif" font-size="14">',
        f'<rect width="{WIDTH:g}" height="{bottom + 32:g}" rx="8" fill="#f7f9fc"/>',
        *_legend(seen),
        *_axis(now, scale, bottom),
        *drawn,
        "</svg>",
    ]
    return "\n".join(parts)


def _rows(rows: Sequence[tuple[int, list[Stretch]]], join: Stretch | None, scale: float) -> tuple[float, list[str]]:
    """A row for each chunk, and a row for the join; and their total height."""
    count = len(rows) + 1
    each = min(max(ROWS_HEIGHT / count, ROW_HEIGHTS[0]), ROW_HEIGHTS[1])
    every = max(1, -(-14 // int(each)))  # so that labels do not touch
    every = next(step for step in (1, 2, 5, 10, 20, 50) if step >= every)
    drawn = []
    for index, (number, stretches) in enumerate(rows):
        y = TOP + index * each
        if index % every == 0:
            drawn.append(_text(LEFT - 8, y + each / 2 + 4, str(number), anchor="end"))
        drawn += [_bar(stretch, y + each * 0.1, each * 0.8, scale) for stretch in stretches if _is_seen(stretch)]
    if join is not None:
        y = TOP + len(rows) * each
        drawn += [_text(LEFT - 8, y + each / 2 + 4, "join", anchor="end"), _bar(join, y, each * 0.8, scale)]
    return count * each, drawn


def _is_seen(stretch: Stretch) -> bool:
    return stretch.kind is Kind.REUSED or stretch.seconds >= LEAST_SECONDS


def _bar(stretch: Stretch, y: float, height: float, scale: float) -> str:
    x, width = LEFT + stretch.start * scale, stretch.seconds * scale
    if stretch.is_beside:
        y, height = y + height * 0.5, height * 0.5
    if stretch.kind is Kind.QUEUED:
        y, height = y + height * 0.4, height * 0.2
    elif stretch.kind is Kind.REUSED:
        width = max(width, 4.0)
    else:
        width = max(width, LEAST_WIDTH)
    bar = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{COLOURS[stretch.kind]}"/>'
    return bar + _place_label(stretch, x, y, width=width, height=height)


def _place_label(stretch: Stretch, x: float, y: float, *, width: float, height: float) -> str:
    """The names of a bar's machine and GPUs on it, where there is room."""
    gpus = f"GPU {', '.join(stretch.gpus)}" if stretch.gpus else ""
    fit = (width - 6) / (LABEL_SIZE * 0.62) if height >= LABEL_SIZE else 0
    label = next((text for text in (" ".join(filter(None, (stretch.machine, gpus))), gpus) if 0 < len(text) <= fit), "")
    if not label:
        return ""
    return (
        f'<text x="{x + 4:.1f}" y="{y + height / 2 + LABEL_SIZE * 0.36:.1f}" font-size="{LABEL_SIZE:g}" '
        f'fill="#ffffff">{escape(label)}</text>'
    )


def _areas(rows: Iterable[list[Stretch]], join: Stretch | None, scale: float, now: float) -> tuple[float, list[str]]:
    """How many attempts were at what, on average over each step of time, stacked."""
    step = now / BINS
    busy = {kind: [0.0] * BINS for kind in STACKED}
    reused = [0] * BINS
    for stretches in rows:
        for stretch in stretches:
            if stretch.kind is Kind.REUSED:
                reused[min(int(stretch.start / step), BINS - 1)] += 1
            elif stretch.kind in busy:
                _spread(stretch, busy[stretch.kind], step)
    most = max(1.0, max(sum(busy[kind][bin_] for kind in STACKED) for bin_ in range(BINS)))
    unit, below, drawn = AREAS_HEIGHT / most, [0.0] * BINS, []
    for kind in STACKED:
        if not any(busy[kind]):
            continue
        above = [low + value for low, value in zip(below, busy[kind], strict=True)]
        there = [_point(bin_, value, step * scale, unit) for bin_, value in enumerate(above)]
        back = [_point(bin_, value, step * scale, unit) for bin_, value in enumerate(below)]
        drawn.append(f'<polygon points="{" ".join([*there, *reversed(back)])}" fill="{COLOURS[kind]}"/>')
        below = above
    levels = sorted({round(most), round(most / 2)} - {0})
    drawn += [_text(LEFT - 8, TOP + AREAS_HEIGHT - level * unit + 4, str(level), anchor="end") for level in levels]
    drawn += [
        _bar(Stretch(Kind.REUSED, bin_ * step, bin_ * step), TOP + AREAS_HEIGHT + 4, 8, scale)
        for bin_, count in enumerate(reused) if count
    ]  # fmt: skip
    if join is not None:
        drawn.append(_bar(join, TOP + AREAS_HEIGHT + 14, 10, scale))
    return AREAS_HEIGHT + 28, drawn


def _spread(stretch: Stretch, counts: list[float], step: float) -> None:
    """Add a stretch to the steps that it touches, each by the share that it fills."""
    first, last = int(stretch.start / step), min(int(stretch.end / step), BINS - 1)
    for bin_ in range(min(first, BINS - 1), last + 1):
        counts[bin_] += max(0.0, min(stretch.end, (bin_ + 1) * step) - max(stretch.start, bin_ * step)) / step


def _point(bin_: int, value: float, width: float, unit: float) -> str:
    return f"{LEFT + (bin_ + 0.5) * width:.1f},{TOP + AREAS_HEIGHT - value * unit:.1f}"


def _legend(seen: Iterable[Kind]) -> list[str]:
    drawn, x = [], LEFT
    for kind in Kind:
        if kind in seen:
            drawn.append(f'<rect x="{x:.0f}" y="16" width="12" height="12" rx="2" fill="{COLOURS[kind]}"/>')
            drawn.append(_text(x + 17, 26, kind.value))
            x += 32 + 7.6 * len(kind.value)
    return drawn


def _axis(now: float, scale: float, bottom: float) -> list[str]:
    step = next((tick for tick in TICKS if now / tick <= 10), TICKS[-1])
    drawn = []
    for number in range(int(now / step) + 1):
        x = LEFT + number * step * scale
        drawn.append(f'<path d="M{x:.1f} {TOP - 4:g}V{bottom + 4:.1f}" stroke="#dde3ec"/>')
        drawn.append(_text(x, bottom + 20, duration(number * step), anchor="middle"))
    return drawn


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#3a4454">{text}</text>'
