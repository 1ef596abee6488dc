"""Who is in an own farm, for a terminal and as a page of Prefect's UI; and a farm that ends with its starter."""

import asyncio
import logging
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey

from helios.errors import RequestError
from helios.own_farm.join_token import JoinToken
from helios.own_farm.node_state import NodeState
from helios.sizes import write_size
from tasks.page.artifact import RunArtifact
from tasks.prefect_api.api import UNREACHABLE, RunApi

PAGE_KEY = "own-farm"
"""Of the artifact in Prefect."""
LOOK_SECONDS = 5.0
"""Between two looks at the nodes for the page."""
SLOW = 2.0
"""A node is called slow when its chunks take so many times as long as in the middle of the nodes."""
SILENT_SECONDS = 8.0
"""Nodes report each second, and each five seconds where they are many."""
STOP_SECONDS = 10.0


def states(nodes: Sequence[NodeState]) -> list[str]:
    """What is to be said of each node besides its numbers; empty for one that is well."""
    known = [node.mean_seconds for node in nodes if node.mean_seconds is not None]
    middle = statistics.median(known) if len(known) > 1 else None
    return [", ".join(_words(node, middle)) for node in nodes]


def _words(node: NodeState, middle: float | None) -> Iterator[str]:
    if node.silent_seconds > SILENT_SECONDS:
        yield "silent"
    if node.draining:
        yield "stopping"
    if not node.is_open:
        yield f"from {node.hours}"
    if middle is not None and node.mean_seconds is not None and node.mean_seconds > SLOW * middle:
        yield "slow"


def lines(nodes: Sequence[NodeState]) -> list[str]:
    """The nodes for a terminal: a line each, and one for each chunk that they render."""
    slots, busy = sum(node.slots for node in nodes), sum(len(node.running) for node in nodes)
    said = [f"{len(nodes)} nodes, {slots} chunks at a time, {busy} now"]
    for node, state in zip(nodes, states(nodes), strict=True):
        speed = f", {node.mean_seconds:.1f} s a chunk" if node.mean_seconds is not None else ""
        offer = "".join(f"  {word}" for word in (_gpus(node), _tags(node), state) if word)
        said.append(f"{node.name}  {len(node.running)} of {node.slots}  rendered {node.rendered}, failed {node.failed}"
                    f"{speed}  version {node.version}{offer}")  # fmt: skip
        said += [f"    {_what(chunk)} for {chunk.seconds:.0f} s" for chunk in node.running]
    return said


def page(nodes: Sequence[NodeState], token: JoinToken, *, dashboard: str | None, now: datetime) -> str:
    """The nodes as Markdown. It has times of day, so that it stays as it is while nothing happens."""
    link = [f"[Dask's dashboard](http://{dashboard}/status)", ""] if dashboard else []
    text = [
        f"# The farm at {token.host}:{token.port}", "",
        f"{len(nodes)} nodes, {sum(node.slots for node in nodes)} chunks at a time. A machine joins by the line that "
        "`helios-job farm start` prints.", "", *link,
        "| node | renders | so far | offers |",
        "|---|---|---|---|",
    ]  # fmt: skip
    for node, state in zip(nodes, states(nodes), strict=True):
        since = [(chunk, now - timedelta(seconds=chunk.seconds)) for chunk in node.running]
        renders = "<br>".join(f"{_plain(_what(chunk))} since {began:%H:%M:%S}" for chunk, began in since)
        speed = f"<br>{node.mean_seconds:.1f} s each" if node.mean_seconds is not None else ""
        so_far = f"{node.rendered} rendered, {node.failed} failed{speed}"
        offers = [
            f"{node.slots} at a time",
            _gpus(node),
            write_size(node.memory),
            _tags(node),
            f"version {node.version}",
        ]
        name = f"{node.name}<br>**{state}**" if state else node.name
        cells = [name, renders, so_far, "<br>".join(filter(None, offers))]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join([*text, "", "Times are UTC."])


async def keep_page(
    look: Callable[[], list[NodeState]], *, token: JoinToken, dashboard: str | None, on_made: Callable[[UUID], None]
) -> None:
    """Keep the farm's page in Prefect as the farm is, until cancelled.

    Args:
        look: The nodes now.
        token: The farm.
        dashboard: Where Dask's dashboard is shown; None for nowhere.
        on_made: Called once with the artifact's id; an earlier farm's is taken over, so that links to it stay right.
    """
    async with get_client() as client:
        artifact = RunArtifact(PAGE_KEY, "markdown", run_id=None, api=RunApi(client, logging.getLogger(__name__)))
        with suppress(*UNREACHABLE):
            key = ArtifactCollectionFilterKey(any_=[PAGE_KEY])
            if earlier := await client.read_latest_artifacts(artifact_filter=ArtifactCollectionFilter(key=key)):
                artifact.adopt(earlier[0].latest_id)
        told = False
        while True:
            text = page(look(), token, dashboard=dashboard, now=datetime.now(UTC))
            await artifact.write({"data": text, "description": "The nodes of an own farm, and what they render"})
            if artifact.id is not None and not told:
                told = True
                on_made(artifact.id)
            await asyncio.sleep(LOOK_SECONDS)


@contextmanager
def started_farm(*, say: Callable[[str], None]) -> Iterator[None]:
    """Have a farm's scheduler within the block, in a process that ends with this one.

    Raises:
        RequestError: It did not start; it has said why.
    """
    words = [sys.executable, sys.argv[0], "farm", "start", "--until-eof"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    output, is_up, is_over = process.stdout, threading.Event(), threading.Event()
    assert process.stdin is not None and output is not None  # noqa: S101, PT018  asked for above

    def pass_on() -> None:
        for line in output:
            say(line.rstrip("\n"))
            if "--adapter farm" in line:
                is_up.set()
        is_over.set()
        is_up.set()

    reader = threading.Thread(target=pass_on)
    reader.start()
    try:
        is_up.wait()
        if is_over.is_set():
            raise RequestError("The farm did not start")
        yield
    finally:
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()
        process.wait()
        reader.join()
        output.close()


def _what(chunk: Any) -> str:
    return f"{chunk.job or 'a job'} {chunk.chunk}".strip()


def _gpus(node: NodeState) -> str:
    shared = f" × {node.chunks_per_gpu} chunks" if node.chunks_per_gpu > 1 else ""
    return f"{node.gpus} GPUs{shared}" if node.gpus else ""


def _tags(node: NodeState) -> str:
    return f"tags {', '.join(sorted(node.tags))}" if node.tags else ""


def _plain(text: str) -> str:
    """A text that a job's author chose, without what Markdown would read."""
    return "".join(
        character if character.isalnum() or character in " ._-" else f"&#{ord(character)};" for character in text
    )
