"""One artifact in Prefect: made when there is something to show, and changed in place from then on."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from tasks.prefect_api.api import UNREACHABLE, RunApi
from tasks.prefect_api.one_try import one_try


class RunArtifact:
    """One artifact.

    Args:
        key: Its key in Prefect.
        kind: Its type in Prefect: progress, table, markdown.
        run_id: The flow run; None for an artifact of no run.
        api: Prefect's API.
    """

    def __init__(self, key: str, kind: str, *, run_id: UUID | None, api: RunApi) -> None:
        self.key = key
        """Its key in Prefect."""
        self._kind = kind
        self._run_id = run_id
        self._api = api
        self.id: UUID | None = None
        """Prefect's, once it is made."""
        self._written: Mapping[str, Any] = {}

    def adopt(self, artifact_id: UUID) -> None:
        """Go on with an artifact that an earlier process of the run made."""
        self.id = artifact_id

    async def find_earlier(self) -> None:
        """Go on with the artifact that an earlier process of the run made, if one is found."""
        if self._run_id is None:
            return
        wanted = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[self._run_id]), key=ArtifactFilterKey(any_=[self.key])
        )
        with suppress(*UNREACHABLE), one_try():
            for found in await self._api.client.read_artifacts(artifact_filter=wanted, limit=1):
                self.adopt(found.id)

    async def write(self, content: Mapping[str, Any]) -> bool:
        """Send what has changed. Prefect's own functions are not used: they emit an event for each change.

        Args:
            content: `data`, `description` and `metadata_`, as Prefect's API takes them.

        Returns:
            Whether Prefect has the content now.
        """
        if content == self._written:
            return True
        try:
            with one_try():  # the next write is the retry
                if self.id is None:
                    wanted = ArtifactCreate(key=self.key, type=self._kind, flow_run_id=self._run_id, **dict(content))
                    self.id = (await self._api.client.create_artifact(wanted)).id
                else:
                    await self._api.client.request(
                        "PATCH", "/artifacts/{id}", path_params={"id": self.id}, json=dict(content)
                    )
        except Exception as exc:  # noqa: BLE001  a picture that can't be shown must not end a render, whatever the cause
            self._api.log.debug("%s could not be written: %s", self.key, exc)
            return False
        self._written = content
        return True
