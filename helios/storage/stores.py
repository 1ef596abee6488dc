"""Open a store by its settings, and translate its errors. Other rooms use `helios.storage.folder`."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import GCSStore, LocalStore, S3Store
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from helios.errors import FULL, HeliosError, RequestError, WorkerUnavailableError
from helios.storage.urls import split_url

TIMEOUTS = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "30m"}
"""Timeouts of a request. The total is for the largest file; a silence of 60 s ends a dead request. Who waits for it has
a shorter deadline: `helios.storage.exchanges`."""
RETRIES: dict[str, Any] = {"max_retries": 3}
"""Retries of a request that met a busy or a broken server, with pauses from 0.1 s up."""

CredentialProvider = Callable[[], Any]
"""Gives temporary credentials with `expires_at`, and is asked again when they expire: see `obstore.auth`."""
Store = LocalStore | S3Store | GCSStore


class StoredObject(NamedTuple):
    """An object as a listing has it."""

    key: str
    """Relative to the folder that was listed from."""
    bytes: int
    """Size."""
    modified: datetime
    """When it was written, by the store's clock; in whole seconds on some stores."""
    tag: str | None = None
    """The store's name for this content of the object, where it gives one: another one after each write."""


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


@lru_cache(maxsize=64)
def open_store(settings: StorageSettings, credentials: CredentialProvider | None) -> Store:
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
        case "farm":
            raise RequestError(
                f"{settings.url} is a folder that a flow gives out to the nodes of its farm; only such a node reads it"
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
def store_errors(action: str, url: str) -> Iterator[None]:
    """Translate what the store's library raises, with the server's own words."""
    try:
        yield
    except (HeliosError, asyncio.CancelledError):
        raise
    except AlreadyExistsError as exc:
        raise ObjectExistsError from exc
    except (PermissionDeniedError, UnauthenticatedError) as exc:
        raise RequestError(f"{url} can't be {action}: no permission ({_first_line(exc)})") from exc
    except FileNotFoundError as exc:
        check_bucket(exc, url)
        raise FileNotFoundError(2, "No such object", url) from exc
    except OSError as exc:
        if exc.errno not in FULL:
            raise _refusal(action, url, exc) from exc
        where = exc.filename or "where it is kept here"
        raise WorkerUnavailableError(f"{url} can't be {action}: no space is left ({where}); make room there") from exc
    except (BaseError, ValueError) as exc:
        raise _refusal(action, url, exc) from exc


def _refusal(action: str, url: str, exc: Exception) -> HeliosError:
    text = _first_line(exc)
    # With an unknown bucket or region, or a malformed endpoint, another try ends in the same way.
    kind = RequestError if any(word in text for word in _REFUSALS) else WorkerUnavailableError
    advice = "; make room there" if "No space left" in text else ""
    return kind(f"{url} can't be {action}: {text}{advice}")


class ObjectExistsError(Exception):
    """An object that should be written once exists already."""


_REFUSALS = (
    "NoSuchBucket", "401 Unauthorized", "403 Forbidden", "301 Moved Permanently", "InvalidAccessKeyId",
    "SignatureDoesNotMatch", "Could not parse", "Permission denied", "URL scheme is not allowed",
)  # fmt: skip


def check_bucket(exc: FileNotFoundError, url: str) -> None:
    """Tell a bucket that is missing from an object that is."""
    if "NoSuchBucket" in str(exc):
        root = split_url(url)[0]
        raise RequestError(f"The bucket of {root} does not exist; create it, or name another one") from exc


def _first_line(exc: BaseException) -> str:
    return str(exc).split("\n", 1)[0].strip()[:500]
