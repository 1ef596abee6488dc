"""How much the bench does: `make bench` in 50 minutes, `make bench-quick` in five, `--full` in three hours."""

from dataclasses import dataclass

THOUSAND = 1000
SMALLER = f"this flow, {THOUSAND:,} chunks"
"""A job that runs beside every larger job of chunks that cost next to nothing."""


@dataclass(frozen=True)
class Encodes:
    """Real encodes of one video."""

    chunks: int
    """Number of chunks of the video."""
    frames: int
    """Frames of each chunk."""
    at_once: int
    """Chunks at a time."""
    with_whole: bool = False
    """Whether one process renders all of it, too."""
    with_bare_tasks: bool = False
    """Whether bare Prefect tasks run the same commands, too."""
    with_levels: bool = False
    """Whether the flow runs at each level of verification, and not at the default one alone."""


@dataclass(frozen=True)
class Links:
    """Chunks that cost next to nothing."""

    chunks: int
    """Number of chunks."""
    at_once: int
    """Chunks at a time."""
    with_references: bool = True
    """Whether bare Prefect tasks, and a bare loop, run beside it, up to a thousand chunks."""


@dataclass(frozen=True)
class Join:
    """A video that is stitched."""

    chunks: int
    """Number of chunk files."""
    frames: int
    """Frames of each file."""
    size: tuple[int, int] = (1280, 720)
    """Pixels, width and height."""
    is_noise: bool = False
    """Whether the pictures are noise, which can't be compressed."""


@dataclass(frozen=True)
class Reuse:
    """Real encodes of one video that is rendered a second time, from a cache but for one chunk."""

    chunks: int
    """Number of chunks of the video."""
    frames: int
    """Frames of each chunk."""


@dataclass(frozen=True)
class Extent:
    """One choice of all sizes."""

    runs: int
    """Runs of each contestant, interleaved."""
    encodes: tuple[Encodes, ...]
    """Sizes of real work."""
    links: tuple[Links, ...]
    """Sizes of the overhead's jobs, on SQLite."""
    links_on_postgresql: tuple[Links, ...]
    """Sizes of the overhead's jobs, on PostgreSQL."""
    joins: tuple[Join, ...]
    """Videos to stitch."""
    invocations: int
    """Invocations in flight at once."""
    stragglers: int
    """Number of chunks, of which one in twenty is slow."""
    reuse: Reuse
    """The video that is rendered a second time."""
    start_chunks: int
    """Number of 720p chunks of the job whose start and end are measured."""
    farm_chunks: int = 1000
    """Chunks of the own farm's jobs."""
    farm_many: bool = True
    """Whether a farm of many nodes is measured."""
    farm_outputs: int = 100
    """Files of 50 MB that come back from a node."""
    left_out: frozenset[str] = frozenset()
    """Suites that run only when they are named."""


WHEN_NAMED = frozenset({"server-settings", "management", "farm", "encode", "places"})
"""Suites that take minutes, and are about Prefect's server and database, about Dask, or about some jobs."""
LARGE = Join(chunks=200, frames=15, is_noise=True)

STANDARD = Extent(
    runs=5,
    encodes=(
        Encodes(16, 34, 2, with_levels=True),
        Encodes(16, 4, 1, with_whole=True),
        Encodes(64, 4, 4),
    ),
    links=(
        Links(100, 10),
        Links(1000, 10),
        Links(1000, 100, with_references=False),
        Links(10_000, 10),
    ),
    links_on_postgresql=(Links(1000, 10),),
    joins=(Join(10, 30), Join(200, 30), Join(2000, 30, (64, 64)), Join(10_000, 3, (64, 64)), LARGE),
    invocations=1000,
    stragglers=40,
    reuse=Reuse(60, 34),
    start_chunks=200,
    left_out=WHEN_NAMED,
)
QUICK = Extent(
    runs=2,
    encodes=(Encodes(8, 4, 2),),
    links=(Links(100, 10),),
    links_on_postgresql=(Links(100, 10),),
    joins=(Join(200, 30),),
    invocations=200,
    stragglers=20,
    reuse=Reuse(20, 8),
    start_chunks=20,
    farm_chunks=200,
    farm_many=False,
    farm_outputs=10,
    # Chunks of these wait, or print hundreds of megabytes: half a minute each, at any size.
    left_out=WHEN_NAMED | {"stragglers", "growing", "memory"},
)
CROSSED = tuple(Links(chunks, at_once) for chunks in (100, 1000, 5000, 10_000) for at_once in (10, 100))
FULL = Extent(
    runs=5,
    encodes=(
        Encodes(16, 34, 1, with_whole=True),
        Encodes(16, 34, 2, with_bare_tasks=True, with_levels=True),
        Encodes(16, 34, 4),
        Encodes(64, 4, 1),
        Encodes(64, 34, 2),
        Encodes(64, 4, 4),
        Encodes(256, 1, 1),
        Encodes(256, 1, 2),
        Encodes(256, 1, 4),
    ),
    links=CROSSED,
    links_on_postgresql=CROSSED,
    joins=STANDARD.joins,
    invocations=1000,
    stragglers=100,
    reuse=Reuse(60, 34),
    start_chunks=200,
)
EXTENTS = {"standard": STANDARD, "quick": QUICK, "full": FULL}
