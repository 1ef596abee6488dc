"""Artifact storage by URL: `file://`, `s3://` and `gs://` through one door.

Credentials come from the settings, from a provider that the caller hands in (the orchestrator's adapters do),
or from the standard chain of the platform: environment variables, container and instance metadata, Google's
application default credentials.
"""

import asyncio
import hashlib
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import GCSStore, LocalStore, S3Store
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from helios.errors import HeliosError, RequestError, WorkerUnavailableError
from helios.models.worker import Artifact

P = ParamSpec("P")
T = TypeVar("T")
SCHEMES = ("file", "s3", "gs")
PIECE_BYTES = 1024 * 1024
"""A download is hashed and written in pieces of this size."""
PART_BYTES = 8 * 1024 * 1024
"""Larger files are uploaded in parts of this size."""
PARTS_AT_ONCE = 4
"""Parts of one file on their way at a time."""
TRANSFERS_AT_ONCE = 16
"""Files on their way at a time. Each in a thread: hashing and writing would hold the event loop, and over many
files threads are faster than obstore's own coroutines."""
_TRANSFERS = ThreadPoolExecutor(TRANSFERS_AT_ONCE, thread_name_prefix="transfer")
SMALL_BYTES = 64 * 1024 * 1024
"""The most that `read` takes into memory."""
TIMEOUTS = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "30m"}
"""Of a request. The total is for the largest file; it's the silence of 60 s that ends a dead one."""
RETRIES: dict[str, Any] = {"max_retries": 3}
"""Of a request that met a busy or a broken server, with pauses from 0.1 s up."""
PAUSES_SECONDS = (0.2, 1.0, 3.0)
"""Before an operation is tried again as a whole: obstore itself does not send again what broke while it was sent.
A chunk that was rendered is not rendered again for a cable."""

CredentialProvider = Callable[[], Any]
"""Gives temporary credentials with `expires_at`, and is asked again when they expire: see `obstore.auth`."""
Store = LocalStore | S3Store | GCSStore


class StorageSettings(BaseModel):
    """Where artifacts are kept, and with which rights. As text, the URL alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    url: str
    """A folder: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `file:///FOLDER`."""
    region: str | None = None
    """S3: the bucket's region; from the environment when empty."""
    endpoint: str | None = None
    """Address of another server that speaks the protocol; Amazon's or Google's own when empty."""
    access_key_id: str | None = None
    """S3: with `secret_access_key`, instead of the standard chain."""
    secret_access_key: SecretStr | None = None
    """S3: belongs to `access_key_id`."""
    session_token: SecretStr | None = None
    """S3: belongs to temporary keys."""
    service_account_key: SecretStr | None = None
    """GCS: a service account's key as JSON, instead of the standard chain."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            split_url(url)
        except RequestError as exc:
            raise ValueError(f"a storage URL ({exc})") from None
        return url.rstrip("/") if urlsplit(url).path.strip("/") else url

    def moved_to(self, url: str) -> "StorageSettings":
        """The same rights for another URL."""
        return self.model_copy(update={"url": url})


def is_storage_url(text: str) -> bool:
    """Whether a text names a place in artifact storage."""
    return text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def split_url(url: str) -> tuple[str, str]:
    """Split a storage URL into its store and the key in it: `("s3://bucket", "folder/file")`.

    Raises:
        RequestError: It is not a storage URL, or its path has `..` or empty parts.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise RequestError(f"{url!r} is not in artifact storage; expected file://, s3:// or gs:// and a path")
    if (parts.scheme == "file") == bool(parts.netloc) or parts.query or parts.fragment:
        shape = "file:///FOLDER" if parts.scheme == "file" else f"{parts.scheme}://BUCKET/PREFIX"
        raise RequestError(f"{url!r} is not a storage URL; expected {shape}")
    key = unquote(parts.path).removeprefix("/").rstrip("/")
    if key:
        check_key(key)
    return f"{parts.scheme}://{parts.netloc}", key


def check_key(key: str) -> str:
    """Refuse a key that is absolute or would leave its folder.

    Raises:
        RequestError: Says which.
    """
    parts = key.split("/")
    if not key or "\0" in key or "\\" in key or any(part in {"", ".", ".."} for part in parts):
        raise RequestError(f"The key {key!r} leaves its folder; expected names and single slashes, without '..'")
    return key


def is_within(url: str, folder: str) -> bool:
    """Whether a storage URL lies in a folder: compared part by part, so that `s3://b/job` does not hold `s3://b/jobs`."""
    store, key = split_url(url)
    folder_store, folder_key = split_url(folder)
    return store == folder_store and (not folder_key or f"{key}/".startswith(f"{folder_key}/"))


def join_url(folder: str, *names: str) -> str:
    """Append names to a folder's URL."""
    base = folder if folder.endswith("/") else f"{folder}/"
    return base + "/".join(quote(name) for name in names)


def parent_url(url: str) -> str:
    """The folder of a URL."""
    return url.rsplit("/", 1)[0]


def _persistent(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Try an operation again while its server is away."""

    @wraps(method)
    async def tried(*args: P.args, **kwargs: P.kwargs) -> T:
        for pause in PAUSES_SECONDS:
            try:
                return await method(*args, **kwargs)
            except WorkerUnavailableError:
                await asyncio.sleep(pause)
        return await method(*args, **kwargs)

    return tried


class Storage:
    """A folder in artifact storage. Keys are relative to it and can't leave it.

    Every operation raises a `RequestError` where permission or the bucket is missing, and a
    `WorkerUnavailableError` where the server did not answer.

    Args:
        settings: Where it is.
        credentials: Gives temporary credentials; the standard chain when None.
    """

    def __init__(self, settings: StorageSettings, *, credentials: CredentialProvider | None = None) -> None:
        self.settings = settings
        self.url = settings.url
        """The folder's URL."""
        self._credentials = credentials
        self._store = _open(settings, credentials)

    def at(self, url: str) -> "Storage":
        """Another folder with the same rights."""
        return Storage(self.settings.moved_to(url), credentials=self._credentials)

    def url_of(self, key: str) -> str:
        """The URL of a key."""
        return join_url(self.url, *check_key(key).split("/"))

    def key_of(self, url: str) -> str:
        """The key of a URL.

        Raises:
            RequestError: The URL lies outside this folder.
        """
        if not is_within(url, self.url):
            raise RequestError(f"{url} lies outside {self.url}; expected a place inside it")
        own, key = split_url(self.url)[1], split_url(url)[1]
        return check_key(key[len(own) :].lstrip("/"))

    @_persistent
    async def upload(self, path: Path, key: str) -> Artifact:
        """Store a file, in parts where it is large; replaces what is there when it is whole."""

        def put() -> tuple[str, int]:
            # One that goes in one part is read once, for its digest and for sending.
            content = path if path.stat().st_size > PART_BYTES else path.read_bytes()
            found = hash_file(content) if isinstance(content, Path) else _hash_bytes(content)
            with _errors("written", self.url_of(key)):
                obstore.put(self._store, check_key(key), content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
            return found

        digest, size = await asyncio.get_running_loop().run_in_executor(_TRANSFERS, put)
        return Artifact(url=self.url_of(key), bytes=size, sha256=digest)

    @_persistent
    async def download(self, key: str, path: Path, *, expected: Artifact | None = None) -> Artifact:
        """Fetch a file; it appears under its name when it is whole and has the expected digest.

        Raises:
            FileNotFoundError: There is no such key.
            WorkerUnavailableError: What arrived is not what was expected.
        """
        temporary = path.with_name(f".{path.name[:64]}.{uuid.uuid4().hex[:12]}")
        stop = threading.Event()

        def get() -> tuple[str, int]:
            digest, size = hashlib.sha256(), 0
            with _errors("read", self.url_of(key)), temporary.open("wb", buffering=0) as file:
                for piece in obstore.get(self._store, check_key(key)).stream(min_chunk_size=PIECE_BYTES):
                    if stop.is_set():
                        break
                    digest.update(piece)
                    size += file.write(piece)
            return digest.hexdigest(), size

        work = asyncio.get_running_loop().run_in_executor(_TRANSFERS, get)
        try:
            digest, size = await work
            arrived = Artifact(url=self.url_of(key), bytes=size, sha256=digest)
            if expected is not None and (size, digest) != (expected.bytes, expected.sha256):
                raise WorkerUnavailableError(
                    f"{arrived.url} arrived with {size} bytes and digest {digest[:12]}; expected "
                    f"{expected.bytes} bytes and {expected.sha256[:12]}: it was damaged, or replaced"
                )
            temporary.replace(path)
        finally:
            # Cancelled, the thread may be at it still, for a piece.
            stop.set()
            work.add_done_callback(lambda _: temporary.unlink(missing_ok=True))
            temporary.unlink(missing_ok=True)
        return arrived

    @_persistent
    async def read(self, key: str, *, limit: int = SMALL_BYTES) -> bytes | None:
        """A small object's content; None where there is none.

        Raises:
            RequestError: It has more than `limit` bytes.
        """
        with _errors("read", self.url_of(key)):
            try:
                answer = await obstore.get_async(self._store, check_key(key))
            except FileNotFoundError as exc:
                _check_bucket(exc, self.url)
                return None
            if answer.meta["size"] > limit:
                raise RequestError(f"{self.url_of(key)} has {answer.meta['size']} bytes; expected at most {limit}")
            return bytes(await answer.bytes_async())

    @_persistent
    async def write(self, key: str, data: bytes, *, once: bool = False) -> bool:
        """Store a small object in one atomic step.

        Args:
            key: Its key.
            data: Its content.
            once: Leave alone what is there already.

        Returns:
            Whether the object now has this content.
        """
        try:
            with _errors("written", self.url_of(key)):
                await obstore.put_async(self._store, check_key(key), data, mode="create" if once else "overwrite")
        except (_ExistsError, WorkerUnavailableError) as exc:
            # It may be ours: the server's answer to this, or to the first of two tries, may be lost.
            found = await self.read(key) if once else None
            if found is None and isinstance(exc, WorkerUnavailableError):
                raise
            return found == data
        return True

    async def check_writable(self, key: str) -> None:
        """Try to write beside a key, since a right to write is often the only one that is given.

        Raises:
            RequestError: Nothing can be written there.
        """
        trial = f"{key}.helios-trial"
        await self.write(trial, b"")
        with suppress(RequestError):
            await self.delete(trial)

    @_persistent
    async def size(self, key: str) -> int | None:
        """An object's size in bytes; None where there is none."""
        with _errors("read", self.url_of(key)):
            try:
                return (await obstore.head_async(self._store, check_key(key)))["size"]
            except FileNotFoundError as exc:
                _check_bucket(exc, self.url)
                return None

    async def list(self, folder: str = "") -> AsyncIterator[tuple[str, int]]:
        """Every key below a folder, with its size in bytes."""
        prefix = check_key(folder) if folder else None
        with _errors("listed", self.url):
            async for batch in obstore.list(self._store, prefix):
                for meta in batch:
                    yield meta["path"], meta["size"]

    @_persistent
    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        with _errors("deleted", self.url_of(key)):
            try:
                await obstore.delete_async(self._store, check_key(key))
            except FileNotFoundError:
                return

    async def delete_folder(self, folder: str) -> int:
        """Remove everything below a folder.

        Returns:
            The number of objects.
        """
        count = 0
        keys = [key async for key, _ in self.list(check_key(folder))]
        with _errors("deleted", self.url_of(folder)):
            for start in range(0, len(keys), 1000):
                batch = keys[start : start + 1000]
                await obstore.delete_async(self._store, batch)
                count += len(batch)
        if isinstance(self._store, LocalStore):
            _remove_empty_folders(Path(unquote(urlsplit(self.url_of(folder)).path)))
        return count


def storage_root(url: str, settings: StorageSettings | None = None) -> Storage:
    """The whole store that a URL lies in: its keys are whole paths. What a worker may touch, its settings say."""
    root = split_url(url)[0] + ("/" if url.startswith("file:") else "")
    return Storage((settings or StorageSettings(url=root)).moved_to(root))


def read_url(url: str, *, limit: int) -> bytes:
    """Read an object by its URL, blocking, with credentials of the standard chain.

    Raises:
        RequestError: There is none, or it is larger than `limit` bytes.
    """
    data = asyncio.run(_read_url(url, limit))
    if data is None:
        raise RequestError(f"{url} does not exist; expected a JSON job document")
    return data


async def _read_url(url: str, limit: int) -> bytes | None:
    return await storage_root(url).read(split_url(url)[1], limit=limit)


def hash_file(path: Path) -> tuple[str, int]:
    """A file's SHA-256 in hexadecimal, and its size in bytes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def _hash_bytes(data: bytes) -> tuple[str, int]:
    return hashlib.sha256(data).hexdigest(), len(data)


@lru_cache(maxsize=64)
def _open(settings: StorageSettings, credentials: CredentialProvider | None) -> Store:
    """Open a store once: the client holds the connections, which a warm worker keeps."""
    root, prefix = split_url(settings.url)
    scheme, bucket = root.split("://")
    match scheme:
        case "file":
            return LocalStore(f"/{prefix}", mkdir=True)
        case "s3":
            return S3Store(
                bucket,
                prefix=prefix or None,
                config=_s3_config(settings),
                client_options=_client(
                    settings.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
                ),
                retry_config=cast(Any, RETRIES),
                credential_provider=credentials,
            )
        case _:
            return GCSStore(
                bucket,
                prefix=prefix or None,
                config=_gcs_config(settings),
                client_options=_client(settings.endpoint or os.environ.get("GOOGLE_BASE_URL")),
                retry_config=cast(Any, RETRIES),
                credential_provider=credentials,
            )


def _s3_config(settings: StorageSettings) -> Any:
    given = {
        "region": settings.region,
        "endpoint": settings.endpoint,
        # Else the environment's AWS_ENDPOINT_URL_S3 would win over what is given here.
        "aws_endpoint_url_s3": settings.endpoint,
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key and settings.secret_access_key.get_secret_value(),
        "session_token": settings.session_token and settings.session_token.get_secret_value(),
    }
    return {name: value for name, value in given.items() if value is not None}


def _gcs_config(settings: StorageSettings) -> Any:
    key = settings.service_account_key
    given = {"base_url": settings.endpoint, "service_account_key": key and key.get_secret_value()}
    return {name: value for name, value in given.items() if value is not None}


def _client(endpoint: str | None) -> Any:
    return {**TIMEOUTS, "allow_http": bool(endpoint and endpoint.startswith("http://"))}


@contextmanager
def _errors(action: str, url: str) -> Iterator[None]:
    """Translate what the store's library raises, with the server's own words."""
    try:
        yield
    except (HeliosError, asyncio.CancelledError):
        raise
    except AlreadyExistsError as exc:
        raise _ExistsError from exc
    except (PermissionDeniedError, UnauthenticatedError) as exc:
        raise RequestError(f"{url} can't be {action}: no permission ({_first_line(exc)})") from exc
    except FileNotFoundError as exc:
        _check_bucket(exc, url)
        raise FileNotFoundError(2, "No such object", url) from exc
    except (BaseError, OSError, ValueError) as exc:
        text = _first_line(exc)
        # An unknown bucket or region, a malformed endpoint: another try ends the same way.
        kind = RequestError if any(word in text for word in _REFUSALS) else WorkerUnavailableError
        raise kind(f"{url} can't be {action}: {text}") from exc


class _ExistsError(Exception):
    """An object that should be written once is there."""


_REFUSALS = (
    "NoSuchBucket", "401 Unauthorized", "403 Forbidden", "301 Moved Permanently", "InvalidAccessKeyId",
    "SignatureDoesNotMatch", "Could not parse", "Permission denied", "URL scheme is not allowed",
)  # fmt: skip


def _check_bucket(exc: FileNotFoundError, url: str) -> None:
    """Tell a bucket that is missing from an object that is."""
    if "NoSuchBucket" in str(exc):
        root = split_url(url)[0]
        raise RequestError(f"The bucket of {root} does not exist; create it, or name another one") from exc


def _first_line(exc: BaseException) -> str:
    return str(exc).split("\n", 1)[0].strip()[:500]


def _remove_empty_folders(folder: Path) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            continue
