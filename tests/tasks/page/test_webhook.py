"""Receivers of a webhook that do not play along."""

import logging

import pytest

from tasks.page.webhook import Webhook
from testbed.slow_server import ENDLESS, IN_HEADERS, Talk, slow_server


@pytest.mark.parametrize(("talk", "taken"), [(ENDLESS, True), (IN_HEADERS, False)], ids=["endless", "trickle"])
async def test_a_receiver_does_not_hold_a_job(talk: Talk, taken: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The status alone is read of an answer; a receiver that sends it byte by byte is left, and tried again."""
    with slow_server(talk) as (url, asked):
        webhook = Webhook(f"{url}/", b"key", {})
        log = logging.getLogger("run")
        sent = await webhook.send("job.completed", message_id="1", data={}, log=log, pauses=[0.1], seconds=0.5)
    assert sent is taken
    assert len(asked) == (1 if taken else 2)
    assert ("no whole answer within 0.5 s" in caplog.text) == (not taken)
