"""What the page shows beside the video: where the run stands, which of its frames are there, what is rendered now."""

import asyncio
import base64
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact

from farm.player.folder import WatchedFolder
from farm.runs import RunStatus, find_run
from tasks.page.page import CHUNKS, PROGRESS, VIDEO
from tasks.page.progress_text import cost_words, describe
from tasks.prefect_api.api import UNREACHABLE
from tasks.prefect_api.states import ENDED
from tasks.run.progress import Progress

LOOK_SECONDS = 1.0
"""Between two questions to Prefect."""
MOST_RANGES = 2000
_FRAMES = re.compile(r"^(\d+) to (\d+)$")
_PICTURE = re.compile(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")


@dataclass
class Seen:
    """What Prefect says about a run."""

    status: RunStatus
    """Where it stands."""
    progress: Progress | None = None
    """Its counts."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Its table of chunks; those in flight at least."""
    picture: bytes = b""
    """The newest picture of its page."""
    is_away: bool = False
    """Whether Prefect's server did not answer the last time."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is rendered."""
        return self.status.state in ENDED


class RunView:
    """One run, looked at for as long as somebody watches.

    Args:
        client: Prefect's.
        status: The run.
    """

    def __init__(self, client: PrefectClient, status: RunStatus) -> None:
        self.seen = Seen(status)
        """What was seen last."""
        self._client = client
        self._due = 0.0
        self._looking: asyncio.Task[Seen] | None = None

    @property
    def latest(self) -> Seen:
        """What was seen last; it is looked again meanwhile, and nobody waits for that."""
        if time.monotonic() >= self._due and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self.look())
        return self.seen

    async def look(self) -> Seen:
        """Ask Prefect, but not more often than once a second."""
        if (now := time.monotonic()) < self._due:
            return self.seen
        self._due = now + LOOK_SECONDS
        try:
            status = await find_run(self._client, self.seen.status.id)
            found = await self._artifacts(status)
        except UNREACHABLE:
            self.seen.is_away = True
            return self.seen
        progress = Progress.from_metadata(found[PROGRESS].metadata_) if PROGRESS in found else None
        self.seen = Seen(
            status,
            progress or self.seen.progress,
            _rows(found.get(CHUNKS)),
            _picture(found.get(VIDEO)) or self.seen.picture,
        )
        return self.seen

    async def _artifacts(self, status: RunStatus) -> dict[str, Artifact]:
        wanted = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[status.run.id]),
            key=ArtifactFilterKey(any_=[PROGRESS, CHUNKS, VIDEO]),
        )
        return {one.key: one for one in await self._client.read_artifacts(artifact_filter=wanted) if one.key}


def page_state(seen: Seen, folder: WatchedFolder | None) -> dict[str, Any]:
    """What the page gets, as JSON."""
    progress, status = seen.progress, seen.status
    document: dict[str, Any] = {
        "name": status.name,
        "state": status.state.value,
        "isOver": seen.is_over,
        "isAway": seen.is_away,
        "message": (status.run.state.message if status.run.state else None) or "",
        "words": describe(progress) if progress else "",
        "cost": "; ".join(cost_words(progress)) if progress else "",
        "picture": len(seen.picture),
        "total": progress.total_frames if progress else 0,
        "playable": {"frames": 0, "seconds": 0.0},
        "done": [],
        "rendering": [],
    }
    start = 0
    if folder is not None:
        accepted = folder.accepted()
        playable = folder.playable(folder.playlist(), accepted)
        start, document["total"] = accepted.start, accepted.total or document["total"]
        document["playable"] = {"frames": playable.frames, "seconds": round(playable.seconds, 3)}
        document["done"] = [list(one) for one in accepted.ranges()][:MOST_RANGES]
    if not seen.is_over:
        document["rendering"] = [_rendering(row, start) for row in seen.rows if _is_rendering(row)]
    return document


def _is_rendering(row: dict[str, Any]) -> bool:
    return str(row.get("state", "")).startswith("running") and _FRAMES.match(str(row.get("frames", ""))) is not None


def _rendering(row: dict[str, Any], start: int) -> dict[str, Any]:
    found = _FRAMES.match(str(row["frames"]))
    assert found is not None  # noqa: S101  the caller has looked
    first, last = int(found[1]) - start, int(found[2]) - start
    return {
        "chunk": row.get("chunk"),
        "first": first,
        "end": last + 1,
        "state": row["state"],
        "seconds": row.get("seconds", ""),
        "adapter": row.get("adapter", ""),
    }


def _rows(table: Artifact | None) -> list[dict[str, Any]]:
    try:
        rows = json.loads(str(table.data)) if table is not None else []
    except ValueError:
        return []
    return [row for row in rows if isinstance(row, dict)]


def _picture(video: Artifact | None) -> bytes:
    found = _PICTURE.search(str(video.data)) if video is not None else None
    return base64.b64decode(found[1]) if found else b""
