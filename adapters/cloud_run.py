"""Workers that are instances of a Google Cloud Run service: `deploy/gcp` makes one."""

import re
import ssl
import time
from collections.abc import AsyncIterator
from functools import cache
from importlib import import_module
from typing import Annotated, ClassVar, Literal
from urllib.request import getproxies

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from adapters.google import IdTokens, storage_credentials
from adapters.remote import AnswerLostError, RemoteAdapter, RemoteAdapterConfig
from helios.diagnosis import Finding, find
from helios.errors import CommandTimeoutError, HeliosError, RequestError, WorkerUnavailableError
from helios.job.attempts import MAX_ANSWER_BYTES, AttemptRecord, read_answer
from helios.models.invocation import ChunkAnswer, ChunkRequest
from helios.storage.folder import Storage
from helios.usage import MIB_IN_GIB, Usage, WorkerSize

REGION = re.compile(r"^https://[^/]+-\d+\.([a-z0-9-]+)\.run\.app(?:[:/]|$)")
"""Of a service by its address, `https://SERVICE-PROJECTNUMBER.REGION.run.app`; older addresses do not name it."""
MARGIN_SECONDS = 30
"""How much longer than the service's own limit an answer is waited for, as a whole."""


class CloudRunConfig(RemoteAdapterConfig):
    """Render each chunk by a request to a Google Cloud Run service."""

    model_config = ConfigDict(title="cloud-run")

    type: Literal["cloud-run"] = "cloud-run"
    service_url: Annotated[str, Field(pattern="^https?://[^/]+")]
    """The service's address."""
    audience: str | None = None
    """The audience of identity tokens; the service's address when empty."""
    service_account_key: SecretStr | None = None
    """A service account's key as JSON; application default credentials when empty."""
    time_limit_seconds: Annotated[int, Field(ge=1, le=3600)] = 3600
    """The service's own time limit of a request."""
    vcpus: Annotated[float, Field(gt=0, le=64)] | None = None
    """CPUs of an instance, for its price alone; as the prices say when empty."""
    memory_gib: Annotated[float, Field(gt=0, le=1024)] | None = None
    """Memory of an instance, for its price alone; as the prices say when empty."""


class CloudRunAdapter(RemoteAdapter):
    """Posts each chunk to a service.

    Args:
        config: Which service.
    """

    config_type: ClassVar[type[BaseModel]] = CloudRunConfig

    def __init__(self, config: CloudRunConfig) -> None:
        _load_http()
        super().__init__(
            config,
            place=f"the service {config.service_url}",
            storage=Storage(
                config.storage, credentials=storage_credentials(config.storage, config.service_account_key)
            ),
        )
        self.config = config
        """Which service."""
        self.tokens = IdTokens(config.audience or config.service_url.rstrip("/"), config.service_account_key)
        """Identity tokens of the caller."""
        # For each client httpx goes through the whole environment for proxies: 0.2 ms.
        self._has_proxy = bool(getproxies())

    async def _send(self, request: ChunkRequest, record: AttemptRecord) -> ChunkAnswer:
        import httpx

        from adapters.exchange import ask

        limit = self.config.time_limit_seconds
        body = request.model_copy(update={"remaining_seconds": float(limit)}).model_dump_json(exclude_none=True)
        headers = {"authorization": f"Bearer {await self.tokens.token()}", "content-type": "application/json"}
        # Each request has its own client: all are in flight at once, and httpx's pool takes quadratic time over many.
        timeout = httpx.Timeout(limit + MARGIN_SECONDS, connect=MARGIN_SECONDS)
        async with httpx.AsyncClient(timeout=timeout, verify=_tls(), trust_env=self._has_proxy) as client:
            began = time.monotonic()
            try:
                answer = await ask(
                    client, "POST", self.config.service_url, content=body, headers=headers,
                    seconds=limit + MARGIN_SECONDS, limit=MAX_ANSWER_BYTES,
                )  # fmt: skip
            except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
                raise WorkerUnavailableError(f"{self._place} can't be reached: {exc}") from exc
            except httpx.TransportError as exc:
                how = str(exc) or type(exc).__name__
                raise AnswerLostError(f"The connection to {self._place} was lost: {how}", wait=True) from exc
            # Billed is the request, with the start of an instance that it waits for: what the worker can't see.
            usage = Usage(milliseconds=round((time.monotonic() - began) * 1000))
        found = self._read(answer.status, answer.text, answer.headers.get("x-cloud-trace-context", "unknown"))
        return found.model_copy(update={"usage": usage})

    async def worker_size(self) -> WorkerSize:
        """An instance as the settings describe it; see `helios.adapter.SizedAdapter`."""
        memory, address = self.config.memory_gib, REGION.search(self.config.service_url)
        return WorkerSize(
            vcpus=self.config.vcpus,
            memory_mib=None if memory is None else round(memory * MIB_IN_GIB),
            region=address[1] if address else None,
        )

    async def _look_around(self) -> AsyncIterator[Finding]:
        yield await find("credentials", self._try_token)
        yield await find("service", self._try_health)

    async def _try_token(self) -> str:
        await self.tokens.token()
        return f"an identity token for {self.tokens.audience}"

    async def _try_health(self) -> str:
        """Ask for the worker's health, which needs the right to call the service."""
        import httpx

        from adapters.exchange import ask

        headers = {"authorization": f"Bearer {await self.tokens.token()}"}
        async with httpx.AsyncClient(timeout=60, verify=_tls()) as client:
            try:
                url = f"{self.config.service_url.rstrip('/')}/health"
                answer = await ask(client, "GET", url, headers=headers, seconds=60, limit=MAX_ANSWER_BYTES)
            except httpx.TransportError as exc:
                raise WorkerUnavailableError(f"{self._place} can't be reached: {exc}") from exc
        if answer.status != 200:
            raise self._refusal(answer.status, f"{self._place} answered {answer.status}: {_words(answer.text)}")
        return f"{self._place} is there, and may be called"

    def _read(self, status: int, text: str, trace: str) -> ChunkAnswer:
        source = f"What {self._place} returned (status {status}, trace {trace})"
        try:
            return read_answer(text, source=source)
        except WorkerUnavailableError as exc:
            if status == 200:
                raise AnswerLostError(str(exc)) from exc
            raise self._refusal(status, f"{self._place} answered {status} (trace {trace}): {_words(text)}") from exc

    def _refusal(self, status: int, message: str) -> HeliosError:
        """The error for an answer of the platform, not of our worker."""
        advice = {
            401: "give the caller the role roles/run.invoker on the service, and check the audience",
            403: "give the caller the role roles/run.invoker on the service",
            404: "deploy it (deploy/gcp), or correct its address",
            413: "shorten the variables (env)",
        }
        if status == 429:
            return WorkerUnavailableError(f"{message}; no instance was free")
        if status == 504:
            timeout = CommandTimeoutError(
                f"{message}; render fewer frames per chunk, or raise the service's time limit"
            )
            return AnswerLostError(message, instead=timeout)
        if status >= 500:
            return AnswerLostError(message)
        return RequestError(f"{message}; {advice.get(status, 'expected the answer of a worker')}")


@cache
def _tls() -> ssl.SSLContext:
    """Make the TLS context once: reading the certificates takes 20 ms."""
    return ssl.create_default_context()


def _load_http() -> None:
    """Import what the first request would import, which would block the event loop for 0.3 s."""
    for name in ("adapters.exchange", "httpcore", "anyio", "anyio._backends._asyncio"):
        import_module(name)
    _tls()


def _words(text: str) -> str:
    return " ".join(text.split())[:300] or "nothing"
