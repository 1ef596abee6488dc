"""Notifications: the signed webhook with the example's receiver, and Prefect's automations."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.server.events.jinja_filters import all_filters
from prefect.server.utilities.user_templates import register_user_template_filters, render_user_template_sync
from prefect.settings import PREFECT_UI_URL, temporary_settings
from prefect.states import Crashed, Failed, Pending, Running

from examples.webhook_receiver.__main__ import is_genuine
from farm.dead_runs import mark_dead_runs
from flows.render import render_job
from tasks.page.webhook import Webhook, with_turn
from testbed.cloud.processes import ROOT, free_port
from testbed.http_server import Answer, answering
from testbed.jobs import make_job, write_job
from tests.command import helios_job, start_helios_job, until
from tests.running import eventually, render
from tests.test_deployment import prefect

pytestmark = pytest.mark.usefixtures("prefect_api")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Example:
    """The example's receiver, in a process of its own."""

    def __init__(self, secret: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.webhook_receiver", "--port", str(self.port)],
            cwd=ROOT, env={**os.environ, "HELIOS_WEBHOOK_SECRET": secret}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        until(lambda: self.lines)

    @property
    def url(self) -> str:
        """The receiver's address."""
        return f"http://127.0.0.1:{self.port}/renders"

    async def told(self, count: int) -> list[str]:
        """The lines of its messages, once there are this many: a line may come after its sender has the answer."""

        async def are_there() -> bool:
            return len(self.lines) > count

        await eventually(are_there)
        return self.lines[1:]

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(60)
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.lines.extend(stream)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Example]:
    """A receiver with the secret with which jobs sign."""
    monkeypatch.setenv("HELIOS_WEBHOOK_SECRET", SECRET)
    example = Example(SECRET)
    yield example
    example.stop()


async def test_the_end_of_a_job_is_told(receiver: Example, tmp_path: Path) -> None:
    """A completed job is reported with its video and the job's data, a failed job with its reason."""
    job = make_job([5] * 2, outputFile="video.mp4")
    await render(tmp_path, job, webhook=receiver.url, webhook_data={"ticket": 17})
    (completed,) = await receiver.told(1)
    assert completed.startswith("job.completed  job-")
    assert completed.endswith(f'  {tmp_path}/video.mp4  {{"ticket": 17}}\n')
    await render(tmp_path, make_job([5], extra=["--misbehave", "exit:3"]), webhook=receiver.url)
    _, failed = await receiver.told(2)
    assert re.match(r"job\.failed  job-\S+  chunk 0 \(frames 0 to 4\), attempt 1: ", failed)


async def test_a_job_that_takes_too_long(receiver: Example, tmp_path: Path) -> None:
    """A job that takes too long is reported once, while it runs."""
    job = make_job([5] * 2, extra=["--misbehave", f"until:{tmp_path}"])
    work = asyncio.create_task(render(tmp_path, job, concurrency=1, webhook=receiver.url, overdue_seconds=1))
    await receiver.told(1)
    assert not work.done()
    (tmp_path / "all").touch()
    await work
    overdue, completed = await receiver.told(2)
    assert overdue.startswith("job.overdue  job-")
    assert "The job takes longer than the 1.0 s that it should" in overdue
    assert completed.startswith("job.completed  job-")


async def test_the_secret_of_a_block(receiver: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret saved in Prefect is masked there; the receiver accepts its signature, and refuses another secret's."""
    monkeypatch.delenv("HELIOS_WEBHOOK_SECRET")
    for name, secret in (("webhook-wrong", "another secret"), ("webhook-test", SECRET)):
        await Secret(value=secret).asave(name, overwrite=True)
        _, report = await render(tmp_path, make_job([5]), webhook=receiver.url, webhook_secret=name)
    (told,) = await receiver.told(1)
    assert told.startswith(f"job.completed  job-{report.run_id[-6:]}  ")
    async with get_client() as client:
        block = await client.read_block_document_by_name("webhook-test", "secret", include_secrets=False)
        run = await client.read_flow_run(UUID(report.run_id))
    assert SECRET not in block.model_dump_json() + run.model_dump_json()


async def test_a_crash_is_told_by_who_marks_it(receiver: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that marks a run as crashed reports it, since the dead process can't."""
    monkeypatch.setattr("farm.dead_runs.OWNER_SILENT", timedelta(seconds=0))
    async with get_client() as client:
        parameters = {"job": "job.json", "webhook": receiver.url}
        run = await client.create_flow_run(render_job, parameters=parameters, state=Running())

        async def is_marked() -> bool:
            await mark_dead_runs(client)
            return (await client.read_flow_run(run.id)).state_type is StateType.CRASHED

        await eventually(is_marked)
    await asyncio.to_thread(until, lambda: any(line.startswith("job.crashed  ") for line in receiver.lines))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"webhook": "example.com/x"}, "The webhook 'example.com/x' is not a valid URL; expected http:// or https://"),
        ({"webhook": "http://127.0.0.1:1/"}, "The webhook has no secret to sign with; set HELIOS_WEBHOOK_SECRET"),
        ({"webhook": "http://127.0.0.1:1/", "webhook_secret": "nowhere"}, "There is no Secret block 'nowhere'"),
        ({"webhook": "http://127.0.0.1:1/", "webhook_data": {"x": "y" * 5000}}, "longer than 4096 bytes"),
    ],
)
async def test_a_webhook_that_can_t_be(tmp_path: Path, parameters: dict[str, object], message: str) -> None:
    """A webhook that can't work is refused before anything runs."""
    path = write_job(tmp_path, make_job([5]))
    state = await render_job(str(path), **parameters, return_state=True)
    assert message in (state.message or "")
    assert not (tmp_path / "chunk 0.mp4").exists()


async def test_an_answer_that_fails_is_followed_by_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed request is repeated with the same id; its signature is valid for this secret, body and time alone."""
    monkeypatch.setenv("HELIOS_WEBHOOK_SECRET", "a plain secret")
    asked: list[tuple[dict[str, str], bytes]] = []

    def refuse_twice(_method: str, _path: str, headers: dict[str, str], body: bytes) -> Answer:
        asked.append((headers, body))
        return 503 if len(asked) <= 2 else 200, {}, b""

    with answering(refuse_twice) as url:
        await render(tmp_path, make_job([5]), webhook=f"{url}/")
    assert len(asked) == 3
    assert len({headers["webhook-id"] for headers, _ in asked}) == 1
    headers, body = asked[-1]
    assert is_genuine(b"a plain secret", headers, body, now=time.time())
    assert not is_genuine(b"another secret", headers, body, now=time.time())
    assert not is_genuine(b"a plain secret", headers, body + b" ", now=time.time())
    assert not is_genuine(b"a plain secret", headers, body, now=time.time() + 3600)


def notifications() -> list[tuple[str, str]]:
    """Subject and body of every message in the template."""
    found = yaml.safe_load((ROOT / "deploy" / "notifications.yaml").read_text())["automations"]
    return [(action["subject"], action["body"]) for one in found for action in one["actions"]]


@pytest.mark.parametrize("template", [text for message in notifications() for text in message])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_message_without_some_of_its_values(template: str, is_known: bool) -> None:
    """Where a run, its state's message or the UI's address is missing, the message has other words, and never None."""
    register_user_template_filters(all_filters)
    run = FlowRun(id=uuid4(), flow_id=uuid4(), name="job-a1b2c3", state=Running()) if is_known else None
    with temporary_settings({PREFECT_UI_URL: "http://farm:4200"} if is_known else {}):
        text = render_user_template_sync(template, {"flow_run": run, "event": None})
    assert text.strip()
    assert "None" not in text
    assert ("http://farm:4200/runs/flow-run/" in text) == (is_known and "ui_url" in template)


@pytest.mark.slow
async def test_the_automations_of_the_template(tmp_path: Path) -> None:
    """`prefect automation create` takes the template; messages say where the video is, or why there is none."""
    got: list[str] = []

    def keep(_method: str, _path: str, _headers: dict[str, str], body: bytes) -> Answer:
        got.append(json.loads(body)["body"])
        return 200, {}, b""

    with answering(keep) as url:
        try:
            data = {"subject": "{{subject}}", "body": "{{body}}"}
            block = CustomWebhookNotificationBlock(name="channel", url=f"{url}/", json_data=data)
            block_id = await block.asave("channel", overwrite=True)
            text = (ROOT / "deploy" / "notifications.yaml").read_text().replace("BLOCK", str(block_id), -1)
            (tmp_path / "automations.yaml").write_text(text)
            await asyncio.to_thread(prefect, "automation", "create", "--from-file", str(tmp_path / "automations.yaml"))

            async def are_loaded() -> bool:
                # The server reloads its automations from time to time, and does not report runs that end before that.
                async with get_client() as client:
                    early: State[None] = Failed(message="early")
                    await client.create_flow_run(render_job, parameters={"job": "j.json"}, state=early)
                await asyncio.sleep(0.5)
                return bool(got)

            await eventually(are_loaded)
            await render(tmp_path, make_job([5], extra=["--misbehave", "exit:3"]))
            await eventually(partial(_has_told, got, "chunk 0 (frames 0 to 4)"))
            _, report = await render(tmp_path, make_job([5], outputFile="video.mp4"))
            await eventually(partial(_has_told, got, "video.mp4"))
            (told,) = [body for body in got if "video.mp4" in body]
            what, link = told.splitlines()
            assert re.fullmatch(rf"{tmp_path}/video\.mp4: 5 frames, 0\.167 s, \d+ bytes; done in \d+\.\d s", what)
            assert link == f"{os.environ['PREFECT_API_URL'].removesuffix('/api')}/runs/flow-run/{report.run_id}"
        finally:
            async with get_client() as client:
                for found in await client.read_automations():
                    if found.name.startswith("helios-render: a job"):
                        await client.delete_automation(found.id)


async def _has_told(got: list[str], text: str) -> bool:
    return any(text in body for body in got)


async def test_an_end_that_was_told_and_not_recorded_keeps_its_id(client: PrefectClient) -> None:
    """What a process told of, and did not live to record, has the same id when the next process tells it."""
    run = await client.create_flow_run(render_job, parameters={"job": "job.json"}, state=Pending())
    webhook = Webhook("http://127.0.0.1:1/", b"key", {})

    async def ids() -> set[str]:
        found = await with_turn(webhook, client, await client.read_flow_run(run.id))
        return {found.message_id(str(run.id), event) for event in ("completed", "failed", "overdue")}

    first = await ids()
    states: list[State[None]] = [Running(), Crashed(message="its process died"), Pending(), Running()]
    for state in states:
        await client.set_flow_run_state(run.id, state, force=True)
    assert await ids() == first
    await client.set_flow_run_state(run.id, Failed(), force=True)
    assert not await ids() & first  # a person runs it again: these are other events


@pytest.mark.slow
async def test_the_sender_dies_after_it_has_told(
    client: PrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed the moment its receiver has the event is told of again under the same id."""
    monkeypatch.setenv("HELIOS_WEBHOOK_SECRET", SECRET)
    asked: list[tuple[str, str]] = []
    started: list[subprocess.Popen[str]] = []

    def kill_the_first(_method: str, _path: str, headers: dict[str, str], body: bytes) -> Answer:
        asked.append((headers["webhook-id"], json.loads(body)["type"]))
        if len(asked) == 1:
            started[0].kill()
        return 200, {}, b""

    with answering(kill_the_first) as url:
        job = write_job(tmp_path, make_job([5] * 2))
        started.append(start_helios_job("run", job, "--webhook", f"{url}/"))
        assert started[0].wait(180) == -signal.SIGKILL
        until(lambda: '"crashed"' in helios_job("list", "--limit", "1", "--json").stdout)  # it is silent for 45 s
        (run,) = json.loads(helios_job("list", "--limit", "1", "--json").stdout)
        assert helios_job("resume", run["runId"]).returncode == 0
    ids = [message_id for message_id, kind in asked if kind == "job.completed"]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert ids[0] not in {message_id for message_id, kind in asked if kind != "job.completed"}
