"""Jobs in storage, for tests of workers and of adapters over storage."""

import asyncio
import json
import os
import shlex
import sys
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from helios.models.worker import WorkerJob
from helios.storage.folder import Storage
from helios.storage.urls import join_url
from testbed.jobs import make_job
from testbed.prefect_home import SHARED

T = TypeVar("T")
SCRIPT = Path(__file__).parents[3] / "testbed" / "programs" / "script.py"


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread, since a loop may run here already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def store_job(storage: Storage, job: dict[str, Any]) -> str:
    """Put a job document into storage; return its URL."""
    key = f"jobs/{uuid.uuid4().hex}/job.json"
    wait_for(storage.write(key, json.dumps(job).encode()))
    return join_url(storage.url, *key.split("/"))


def store_command(storage: Storage, *words: str, timeout_seconds: float | None = None) -> WorkerJob:
    """Store a job whose one chunk runs a command."""
    document = make_job([1])
    document["chunks"][0]["command"] = shlex.join(words)
    document["chunks"][0]["outputFile"] = "out.mp4"
    url = store_job(storage, document)
    return WorkerJob(command=words[0], args=words[1:], job_url=url, chunk_id=0, timeout_seconds=timeout_seconds)


def store_script(storage: Storage, script: str, *args: str, timeout_seconds: float | None = None) -> WorkerJob:
    """Store a job whose one chunk writes its output and runs a Python script."""
    words = (sys.executable, str(SCRIPT), os.environ.get(SHARED, ""), script, *args)
    return store_command(storage, *words, timeout_seconds=timeout_seconds)
