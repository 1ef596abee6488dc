"""Fundamentals, 4: an adapter is one verb; the contract suite tests it."""

import asyncio

import pytest

from adapters.local import LocalAdapter, LocalAdapterConfig
from helios import OutputSink, WorkerAdapter, WorkerJob, WorkerResult
from helios.testing import AdapterContract


class TwoAtATime:
    """An adapter that wraps another adapter: a farm with two places."""

    def __init__(self, inner: WorkerAdapter) -> None:
        self._inner = inner
        self._seats = asyncio.Semaphore(2)

    async def execute(self, job: WorkerJob, *, on_output: OutputSink | None = None) -> WorkerResult:
        """Wait for a place, and pass the job on."""
        async with self._seats:
            return await self._inner.execute(job, on_output=on_output)


class TestTwoAtATime(AdapterContract):
    """The whole contract, in four lines."""

    @pytest.fixture
    def adapter(self) -> WorkerAdapter:
        """The adapter under test."""
        return TwoAtATime(LocalAdapter(LocalAdapterConfig(grace_seconds=0.2)))
