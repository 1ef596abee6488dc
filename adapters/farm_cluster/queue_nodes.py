"""Nodes that a batch queue starts as jobs."""

from collections.abc import Collection, Sequence

from adapters.farm_cluster.config import Queue
from adapters.farm_cluster.flow_folder import FlowFolder
from adapters.farm_cluster.jobs import JobQueue
from adapters.farm_cluster.states import JobState, job_states
from helios.own_farm.join_token import JoinToken


class QueueNodes:
    """The jobs of one flow; see `adapters.farm_cluster.source.NodeSource`.

    Args:
        config: The queue, and what jobs ask for.
        name: What all jobs are called.
        token: What nodes join.
        tags: What nodes can do.

    Raises:
        RequestError: dask-jobqueue or the queue's command is missing.
    """

    unit = "job"

    def __init__(self, config: Queue, *, name: str, token: JoinToken, tags: Collection[str]) -> None:
        self._name = name
        self._folder = FlowFolder(config.folder, name, token)
        self._queue = JobQueue(config, name=name, folder=self._folder.path, tags=tags)
        self.title = self._queue.title

    async def open(self) -> None:
        """Place the token, start the guard, and ask the queue whether it would take a job."""
        self._folder.open(self.title, cancel=self._queue.cancel_command)
        try:
            await self._queue.try_out()
        except BaseException:
            await self._folder.close()
            raise

    async def submit(self, name: str) -> str:
        """Submit a job."""
        job_id = await self._queue.submit(name)
        self._folder.note("+", job_id)
        return job_id

    async def states(self, ids: Sequence[str]) -> dict[str, JobState] | None:
        """Ask the queue."""
        return await job_states(self._queue.kind, self._name, ids)

    async def cancel(self, node_id: str) -> None:
        """Cancel a job."""
        await self._queue.cancel(node_id)
        self._folder.note("-", node_id)

    def has_joined(self, node_id: str) -> None:
        """Tell the guard."""
        self._folder.note("-", node_id)

    async def remove(self, node_id: str) -> None:
        """Tell the guard: a queue forgets its jobs by itself."""
        self._folder.note("-", node_id)

    async def last_words(self, node_id: str) -> str:
        """Read the job's log."""
        return self._queue.last_words(node_id)

    async def close(self, *, keep_logs: bool) -> None:
        """Remove the flow's folder."""
        await self._folder.close(keep=keep_logs)
