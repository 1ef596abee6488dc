"""The caller's side: what `helios-job run --adapter folder-farm` uses."""

import asyncio
import json
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from folder_farm.orders import POLL_SECONDS, SILENCE_SECONDS, prepare, write
from helios import Failure, OutputSink, RequestError, WorkerJob, WorkerResult, WorkerUnavailableError

STOP_SECONDS = 15.0
"""How long a worker may take to stop a cancelled order."""


class FolderFarmConfig(BaseModel):
    """Have commands run by machines that share a folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["folder-farm"] = "folder-farm"
    folder: Path
    """The shared folder."""


def _touched(path: Path) -> int:
    """When a file was touched, in nanoseconds of its disk's clock; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


class FolderFarm:
    """Puts orders into the folder and waits for their answers."""

    config_type: ClassVar[type[BaseModel]] = FolderFarmConfig

    def __init__(self, config: FolderFarmConfig) -> None:
        try:
            prepare(config.folder)
        except OSError as exc:
            raise RequestError(f"The farm's folder {config.folder} can't be used: {exc.strerror}") from exc
        self._folder = config.folder

    async def execute(self, job: WorkerJob, *, on_output: OutputSink | None = None) -> WorkerResult:
        """Have one command run; see `helios.adapter.WorkerAdapter`."""
        name = uuid.uuid4().hex
        write(self._folder / "orders" / f"{name}.json", job.model_dump(mode="json"))
        try:
            answer = await self._answer(name)
        except asyncio.CancelledError:
            await self._call_off(name)
            raise
        for stream, line in answer["lines"]:
            if on_output is not None:
                on_output(stream, line)
        if "error" in answer:
            raise Failure(answer["error"]).error(answer["message"])
        return WorkerResult.model_validate(answer["result"])

    async def _answer(self, name: str) -> dict[str, Any]:
        """Wait for an answer, as long as a worker that has taken the order gives a sign of life.

        Raises:
            WorkerUnavailableError: It gives none; if it comes back, it finds the order called off.
        """
        path, taken = self._folder / "answers" / f"{name}.json", self._folder / "taken" / f"{name}.json"
        touched, since = 0, time.monotonic()
        while not path.exists():
            await asyncio.sleep(POLL_SECONDS)
            # The disk's times are compared with each other alone: clocks of machines differ.
            now = _touched(taken)
            if now == 0 or now != touched:
                touched, since = now, time.monotonic()
            elif time.monotonic() - since > SILENCE_SECONDS:
                taken.unlink(missing_ok=True)
                raise WorkerUnavailableError(f"The worker that took the order said nothing for {SILENCE_SECONDS:g} s")
        answer: dict[str, Any] = json.loads(path.read_text())
        path.unlink()
        return answer

    async def _call_off(self, name: str) -> None:
        """Take the order back, or ask its worker to stop, and wait until it has stopped."""
        try:
            (self._folder / "orders" / f"{name}.json").unlink()
        except FileNotFoundError:  # a worker has taken it
            (self._folder / "taken" / f"{name}.json").unlink(missing_ok=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._answer(name), STOP_SECONDS)
