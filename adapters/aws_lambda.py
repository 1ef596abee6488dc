"""Workers that are AWS Lambda functions: `deploy/aws` makes one."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from adapters.aws import AwsKeys, open_session, translate
from adapters.daemon_thread import in_daemon_thread
from adapters.remote import AnswerLostError, RemoteAdapter, RemoteAdapterConfig, await_record
from helios.diagnosis import Finding, find
from helios.errors import CommandTimeoutError, HeliosError, RequestError, WorkerUnavailableError
from helios.job.attempts import AttemptRecord, read_answer
from helios.models.invocation import ChunkAnswer, ChunkRequest
from helios.storage.folder import Storage
from helios.usage import Usage, WorkerSize

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import InvocationResponseTypeDef

Result = TypeVar("Result")
BROKEN_FUNCTION = ("Runtime.ImportModuleError", "Runtime.HandlerNotFound", "Runtime.InvalidEntrypoint",
                   "Runtime.UserCodeSyntaxError", "Runtime.MalformedHandlerName")  # fmt: skip
"""Errors of a function that can't run at all."""
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""Of an answer that is read; Lambda's own limit is 6 MB."""
MARGIN_SECONDS = 30
"""How much longer than the function's own limit a silence is waited for; and twice that for the whole answer."""
KEYS_FOR = timedelta(minutes=5)
"""How long the storage uses keys before it asks boto3 again, which gives none with less than ten minutes left."""
QUEUE_SECONDS = 6 * 3600.0
"""How long Lambda keeps an asynchronous event at most:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
BILLED = re.compile(r"^REPORT RequestId: .*?\bBilled Duration: (\d+) ms\s+Memory Size: (\d+) MB", re.MULTILINE)
"""What Lambda writes into an invocation's log at its end: with its start, where that is billed."""


class AwsLambdaConfig(RemoteAdapterConfig):
    """Render each chunk by an invocation of an AWS Lambda function."""

    model_config = ConfigDict(title="aws-lambda")

    type: Literal["aws-lambda"] = "aws-lambda"
    function: Annotated[str, Field(min_length=1)] = "helios-worker"
    """Name or ARN of the function."""
    qualifier: str | None = None
    """A version or an alias of it."""
    mode: Literal["sync", "async"] = "sync"
    """sync: wait for the answer over one connection. async: Lambda queues the event, and the answer is looked up
    in storage; for renders of many minutes, whose connection a network on the way may drop."""
    region: str | None = None
    """Of the function; as in the environment when empty."""
    profile: str | None = None
    """A profile of ~/.aws/config."""
    credentials: AwsKeys | None = None
    """Keys instead of the standard chain."""
    endpoint: str | None = None
    """Address of another server that speaks Lambda's protocol; Amazon's own when empty."""
    time_limit_seconds: Annotated[int, Field(ge=1, le=900)] = 900
    """The function's own time limit; an answer is waited for a little longer."""
    poll_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0
    """async: between two looks for an answer."""


class AwsLambdaAdapter(RemoteAdapter):
    """Invokes a function for each chunk, in a thread of its own: boto3 blocks.

    Args:
        config: Which function.
    """

    config_type: ClassVar[type[BaseModel]] = AwsLambdaConfig

    def __init__(self, config: AwsLambdaConfig) -> None:
        from botocore.config import Config
        from obstore.auth.boto3 import Boto3CredentialProvider

        self._config = config
        self.session = open_session(keys=config.credentials, profile=config.profile, region=config.region)
        """Credentials and region."""
        on_s3 = config.storage.url.startswith("s3:") and config.storage.access_key_id is None
        super().__init__(
            config,
            place=f"the function {config.function}",
            storage=Storage(
                config.storage, credentials=Boto3CredentialProvider(self.session, ttl=KEYS_FOR) if on_s3 else None
            ),
        )
        self.client = self.session.client(
            "lambda",
            endpoint_url=config.endpoint,
            config=Config(
                connect_timeout=5,
                read_timeout=config.time_limit_seconds + MARGIN_SECONDS,
                max_pool_connections=config.max_in_flight,
                tcp_keepalive=True,
                # No retries by the client: with boto3's default one render became three.
                retries={"total_max_attempts": 1},
            ),
        )
        """Lambda's client."""
        self._this_thread = threading.local()
        self.client.meta.events.register("before-send.lambda.Invoke", self._note_sending)

    async def _send(self, request: ChunkRequest, record: AttemptRecord) -> ChunkAnswer:
        if self._config.mode == "sync":
            return await self._invoked(self.invoke, request)
        await self._invoked(self._invoke_event, request)
        return await await_record(record, poll_seconds=self._config.poll_seconds, start_seconds=QUEUE_SECONDS)

    async def _invoked(self, invoke: Callable[[ChunkRequest], Result], request: ChunkRequest) -> Result:
        """Run an invocation in a thread; few invocations are sent at a time, however many wait for their answers."""
        loop = asyncio.get_running_loop()
        async with self._starts:
            sent = asyncio.Event()

            def run() -> Result:
                self._this_thread.on_send = lambda: loop.call_soon_threadsafe(sent.set)
                return invoke(request)

            work = in_daemon_thread(run)
            work.add_done_callback(lambda _: sent.set())
            await sent.wait()
        try:
            # boto3's timeout is for one read.
            async with asyncio.timeout(self._config.time_limit_seconds + 2 * MARGIN_SECONDS):
                return await work
        except TimeoutError:
            raise AnswerLostError(f"{self._place} did not answer within its time limit", wait=True) from None

    def _note_sending(self, **_: Any) -> None:
        """Called by boto3, in an invocation's thread, when the request goes out."""
        if on_send := getattr(self._this_thread, "on_send", None):
            on_send()

    async def worker_size(self) -> WorkerSize:
        """The function's memory and architecture; see `helios.adapter.SizedAdapter`."""
        return await in_daemon_thread(self._read_size)

    def _read_size(self) -> WorkerSize:
        with self._errors():
            found = self.client.get_function_configuration(**self._named)
        return WorkerSize(
            memory_mib=found.get("MemorySize"),
            architecture=next(iter(found.get("Architectures", ())), None),
            region=self.session.region_name,
        )

    async def _look_around(self) -> AsyncIterator[Finding]:
        yield await find("credentials", lambda: in_daemon_thread(self._describe_credentials))
        yield await find("function", lambda: in_daemon_thread(self._describe_function))
        yield await find("permission", lambda: in_daemon_thread(self._try_invoke))
        yield await find("quota", lambda: in_daemon_thread(self._describe_quota))

    def invoke(self, request: ChunkRequest) -> ChunkAnswer:
        """Send one request and wait for its answer; blocks.

        Raises:
            HeliosError: As `execute`.
        """
        answer = self._call(request, InvocationType="RequestResponse", LogType="Tail")
        request_id = answer["ResponseMetadata"]["RequestId"]
        payload = answer["Payload"].read(MAX_PAYLOAD_BYTES)
        if answer.get("FunctionError"):
            raise _function_error(payload, answer, place=self._place, request_id=request_id)
        usage = read_bill(answer)
        try:
            found = read_answer(payload, source=f"What {self._place} returned (request {request_id})")
        except WorkerUnavailableError as exc:
            lost = AnswerLostError(str(exc))
            lost.usage = usage
            raise lost from exc
        return found.model_copy(update={"usage": usage})

    def _invoke_event(self, request: ChunkRequest) -> None:
        self._call(request, InvocationType="Event")

    def _call(self, request: ChunkRequest, **how: Any) -> InvocationResponseTypeDef:
        """Invoke the function once."""
        with self._errors():
            payload = request.model_dump_json(exclude_none=True).encode()
            return self.client.invoke(**self._named, Payload=payload, **how)

    @property
    def _named(self) -> Any:
        qualifier = {"Qualifier": self._config.qualifier} if self._config.qualifier else {}
        return {"FunctionName": self._config.function, **qualifier}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from botocore import exceptions

        try:
            yield
        except exceptions.ClientError as exc:
            raise translate(exc, what=self._place) from exc
        except (
            exceptions.EndpointConnectionError,
            exceptions.ConnectTimeoutError,
            exceptions.ProxyConnectionError,
        ) as exc:
            raise WorkerUnavailableError(f"Lambda can't be reached: {exc}") from exc
        except exceptions.HTTPClientError as exc:
            raise AnswerLostError(f"The connection to {self._place} was lost: {exc}", wait=True) from exc
        except exceptions.BotoCoreError as exc:
            raise RequestError(f"{self._place} can't be invoked: {exc}") from exc

    def _describe_credentials(self) -> str:
        found = self.session.get_credentials()
        assert found is not None  # noqa: S101  open_session has looked
        key = found.get_frozen_credentials().access_key or ""
        return f"key {key[:4]}…{key[-4:]} from {found.method}, region {self.session.region_name}"

    def _describe_function(self) -> str:
        with self._errors():
            found = self.client.get_function_configuration(**self._named)
        limit = self._config.time_limit_seconds
        if found["Timeout"] < limit and self._config.mode == "sync":
            limit = found["Timeout"]
        disk = found.get("EphemeralStorage", {}).get("Size", 512)
        return (f"{found['FunctionName']} is {found.get('State', 'Active')}: {limit} s, {found['MemorySize']} MB of "
                f"memory, {disk} MB of disk")  # fmt: skip

    def _try_invoke(self) -> str:
        with self._errors():
            self.client.invoke(**self._named, InvocationType="DryRun")
        return "lambda:InvokeFunction is allowed"

    def _describe_quota(self) -> str:
        with self._errors():
            limits = self.client.get_account_settings()["AccountLimit"]
        free = limits["UnreservedConcurrentExecutions"]
        if free < min(self._config.max_in_flight, 100):
            raise RequestError(f"{free} concurrent executions are left to this account; ask AWS for more, or lower "
                               f"max_in_flight ({self._config.max_in_flight})")  # fmt: skip
        return f"{free} of {limits['ConcurrentExecutions']} concurrent executions are free to use"


def _log_of(answer: Any) -> str:
    """The end of the invocation's log, which Lambda sends along."""
    return base64.b64decode(answer.get("LogResult", "")).decode("utf-8", "replace")


def read_bill(answer: Any) -> Usage | None:
    """What Lambda says that it bills; None where the log does not say so."""
    reports = BILLED.findall(_log_of(answer))
    return Usage(milliseconds=int(reports[-1][0]), memory_mib=int(reports[-1][1])) if reports else None


def _function_error(payload: bytes, answer: Any, *, place: str, request_id: str) -> AnswerLostError:
    """The error of a function that failed outside our runtime, with the end of its log."""
    try:
        said = json.loads(payload)
        kind, text = str(said.get("errorType", "")), str(said.get("errorMessage", said))
    except (ValueError, AttributeError):
        kind, text = "", payload[:500].decode("utf-8", "replace")
    log = _log_of(answer).strip().splitlines()[-5:]
    message = "\n  ".join([f"{place} failed: {kind} {text} (request {request_id})", *log])
    instead: HeliosError | None = None
    if kind in BROKEN_FUNCTION:
        instead = RequestError(f"{message}\n  The function can't run: deploy it again (deploy/aws)")
    elif "timed out" in text.lower():
        instead = CommandTimeoutError(f"{message}\n  Render fewer frames per chunk, or raise the function's time limit")
    lost = AnswerLostError(message, instead=instead)
    for error in (lost, instead):
        if error is not None:
            error.usage = read_bill(answer)
    return lost
