"""Send a signed request when a job ends, or takes too long, in the format of Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
from prefect.blocks.system import Secret
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType

from adapters.exchange import ask
from helios.errors import RequestError
from helios.models.report import JobReport, RunState
from helios.variables import WEBHOOK_SECRET
from helios.web_urls import origin_of
from tasks.prefect_api.log import RunLogger

PREFIX = "whsec_"
"""Begins a secret in base64; a secret without it is used as it is."""
MOST_DATA_BYTES = 4096
TRY_SECONDS = 10.0
"""For one try, whatever the receiver does. With the pauses a dead receiver holds a job's end for 65 s."""
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)
"""Between the tries."""
OVERDUE = "job.overdue"
ENDS = frozenset({StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED})


@dataclass(frozen=True)
class Webhook:
    """The receiver of a job's events."""

    url: str
    """Takes POST requests."""
    key: bytes
    """Signs them."""
    data: Mapping[str, Any]
    """An object that is sent along unchanged."""
    turn: int = 0
    """How often the run has ended before, as Prefect has recorded it: a part of the events' ids."""

    async def send(
        self,
        event: str,
        *,
        message_id: str,
        data: Mapping[str, Any],
        log: RunLogger,
        pauses: Sequence[float] = PAUSES_SECONDS,
        seconds: float = TRY_SECONDS,
    ) -> bool:
        """Send an event; return whether the receiver took it. A failure is a warning, and does not fail the job.

        Args:
            event: Its type, as in `job.completed`.
            message_id: The same in every try, and unique to this event.
            data: Describes the event.
            log: Gets a warning when the event could not be sent.
            pauses: Seconds between the tries; there is one more try than pauses.
            seconds: For each try as a whole.
        """
        content = {"type": event, "timestamp": datetime.now(UTC).isoformat(), "data": {**data, "custom": self.data}}
        body = json.dumps(content, ensure_ascii=False).encode()
        error = ""
        async with httpx.AsyncClient(timeout=seconds) as client:
            for pause in (*pauses, None):
                try:
                    headers = sign(self.key, message_id, body, now=datetime.now(UTC))
                    # Its status is all that counts: what it says beside that is not read.
                    answer = await ask(
                        client, "POST", self.url, content=body, headers=headers, seconds=seconds, limit=0
                    )
                except httpx.HTTPError as exc:
                    error = str(exc) or type(exc).__name__
                else:
                    if httpx.codes.is_success(answer.status):
                        return True
                    error = f"it answered {answer.status}"
                    if httpx.codes.is_client_error(answer.status) and answer.status not in (408, 429):
                        break
                if pause is not None:
                    await asyncio.sleep(pause)
        log.warning("The webhook %s was not told %s: %s", self.url, event, error)
        return False

    def message_id(self, run_id: str, event: str) -> str:
        """The id of a run's event: the same if another process tells it again, since the first died too early."""
        return f"{run_id}-{self.turn}-{event}"

    async def send_end(
        self,
        run: FlowRun,
        state: RunState,
        message: str,
        *,
        report: JobReport | None = None,
        log: RunLogger,
        pauses: Sequence[float] = PAUSES_SECONDS,
    ) -> bool:
        """Send a run's end, as `send` does.

        Args:
            run: The run.
            state: How it ended.
            message: Why, if not well.
            report: What became of its chunks, as far as that is known.
            log: Gets a warning when the event could not be sent.
            pauses: Between the tries, in seconds.
        """
        data = _describe_end(str(run.id), run.name, state, message, report)
        # A process that was told of a crash may have told it, and died before it was recorded; each crash is another.
        event = f"{run.run_count}-{state}" if state is RunState.CRASHED else f"{state}"
        message_id = self.message_id(str(run.id), event)
        return await self.send(f"job.{state}", message_id=message_id, data=data, log=log, pauses=pauses)


def sign(key: bytes, message_id: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """The headers of a signed request: HMAC-SHA256 over id, time and body."""
    timestamp = str(int(now.timestamp()))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


async def open_webhook(
    url: str | None, *, secret: str | None = None, data: Mapping[str, Any] | None = None
) -> Webhook | None:
    """Find what a webhook needs; None where the run has no webhook.

    Args:
        url: Where events go.
        secret: Name of a Secret block in Prefect; by default the variable HELIOS_WEBHOOK_SECRET of this process.
        data: Sent along.

    Raises:
        RequestError: The address, the secret, or the data can't be used.
    """
    if url is None:
        return None
    if not url.startswith(("http://", "https://")):
        raise RequestError(f"The webhook {url!r} is not a valid URL; expected http:// or https://")
    origin_of(url)
    if len(json.dumps(dict(data or {}))) > MOST_DATA_BYTES:
        raise RequestError(f"The webhook's data are longer than {MOST_DATA_BYTES} bytes; send a name, and look it up")
    return Webhook(url, await _key(secret), dict(data or {}))


async def with_turn(webhook: Webhook, client: PrefectClient, run: FlowRun) -> Webhook:
    """A webhook that knows how often a run has ended.

    Only ends that Prefect has recorded count, and a crash is no end: a process that has told of an end, and died before
    it was recorded, leaves the number as it is, so that the next process tells it under the same id.
    """
    states = await client.read_flow_run_states(run.id)
    return replace(webhook, turn=sum(state.type in ENDS for state in states))


async def _key(block: str | None) -> bytes:
    if block is not None:
        try:
            saved: Any = await Secret.aload(block)
            text = str(saved.get())
        except ValueError:
            raise RequestError(
                f"There is no Secret block {block!r} in Prefect, which signs the webhook; save one, or name another"
            ) from None
    elif not (text := os.environ.get(WEBHOOK_SECRET, "")):
        raise RequestError(
            f"The webhook has no secret to sign with; set {WEBHOOK_SECRET} where the job runs, or save a Secret block "
            "and name it (--webhook-secret; parameter webhook_secret)"
        )
    if not text.startswith(PREFIX):
        return text.encode()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        source = WEBHOOK_SECRET if block is None else f"The Secret block {block!r}"
        raise RequestError(
            f"{source} begins with {PREFIX}, and is not base64 after that; expected {PREFIX} and a key in base64, or "
            f"any text without {PREFIX}"
        )
    return key


def _describe_end(run_id: str, name: str, state: RunState, message: str, report: JobReport | None) -> dict[str, Any]:
    """The data of a run's last event."""
    found: dict[str, Any] = {"runId": run_id, "name": name, "state": state.value, "message": message}
    if report is not None:
        found |= {
            "jobId": report.job_id,
            "output": report.output,
            "frames": report.frames,
            "chunks": len(report.chunks),
            "durationMs": report.duration_ms,
        }
    return found
