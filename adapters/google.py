"""What adapters on Google's cloud share: credentials, and its errors in our three kinds."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from helios.errors import HeliosError, RequestError, WorkerUnavailableError
from helios.storage.stores import CredentialProvider, StorageSettings

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.credentials import Credentials

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
NO_IDENTITY = (
    "There is no service account that could say who calls ({reason}): on a machine that is not Google's set "
    "GOOGLE_APPLICATION_CREDENTIALS to its key, or to the file of `gcloud auth application-default login "
    "--impersonate-service-account=…`, or give the adapter a block with its key"
)
NO_CREDENTIALS = (
    "There are no Google credentials ({reason}): run `gcloud auth application-default login`, set "
    "GOOGLE_APPLICATION_CREDENTIALS to a service account's key, or give the adapter a block with one"
)


def find_credentials(key: SecretStr | None) -> Credentials:
    """The given service account's credentials, or Google's application default credentials.

    Raises:
        RequestError: There are none.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    try:
        if key is not None:
            return service_account.Credentials.from_service_account_info(_read_key(key), scopes=SCOPES)  # type: ignore[no-any-return, no-untyped-call]
        return google.auth.default(scopes=SCOPES)[0]
    except GoogleAuthError as exc:
        raise RequestError(NO_CREDENTIALS.format(reason=exc)) from exc


def storage_credentials(settings: StorageSettings, key: SecretStr | None) -> CredentialProvider | None:
    """Credentials for a bucket of Google's whose settings hold none."""
    from obstore.auth.google import GoogleCredentialProvider

    own = settings.service_account_key is not None or "GOOGLE_BEARER_TOKEN" in os.environ
    if own or not settings.url.startswith("gs:"):
        return None
    return GoogleCredentialProvider(credentials=find_credentials(key))


class IdTokens:
    """Identity tokens of the caller, for one audience; each is used until shortly before it expires.

    Args:
        audience: The service's address.
        key: A service account's key; application default credentials when None.
    """

    def __init__(self, audience: str, key: SecretStr | None) -> None:
        self.audience = audience
        """The audience of the tokens."""
        self._key = key
        self._credentials: Any = None
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """A token that is valid now.

        Raises:
            RequestError: There are no credentials that give one.
            WorkerUnavailableError: Google's token server did not answer.
        """
        async with self._lock:
            if self._credentials is None or not self._credentials.valid:
                await asyncio.to_thread(self._renew)
            return str(self._credentials.token)

    def _renew(self) -> None:
        from google.auth import exceptions
        from google.auth.transport.requests import Request
        from google.oauth2 import id_token, service_account

        try:
            if self._credentials is None:
                if self._key is not None:
                    self._credentials = service_account.IDTokenCredentials.from_service_account_info(  # type: ignore[no-untyped-call]
                        _read_key(self._key), target_audience=self.audience
                    )
                else:
                    self._credentials = id_token.fetch_id_token_credentials(self.audience, Request())  # type: ignore[no-untyped-call]
            self._credentials.refresh(Request())
        except exceptions.TransportError as exc:
            raise WorkerUnavailableError(f"No identity token for {self.audience}: {exc}") from exc
        except exceptions.GoogleAuthError as exc:
            raise RequestError(NO_IDENTITY.format(reason=exc)) from exc


def translate(error: GoogleAPICallError, *, what: str) -> HeliosError:
    """Translate a refusal by Google into an error of its kind."""
    from google.api_core import exceptions

    name = error.grpc_status_code.name if error.grpc_status_code else str(error.code)
    ids = [str(detail) for detail in getattr(error, "details", ())][:1]
    message = f"{name}: {error.message} ({', '.join([what, *ids])})"
    wrong = (
        exceptions.Forbidden, exceptions.Unauthenticated, exceptions.NotFound, exceptions.BadRequest,
        exceptions.MethodNotImplemented,
    )  # fmt: skip
    if not isinstance(error, wrong) or isinstance(error, exceptions.Aborted):
        return WorkerUnavailableError(message)
    advice: dict[type, str] = {
        exceptions.PermissionDenied: "give these credentials the role roles/run.developer on it",
        exceptions.NotFound: "deploy it (deploy/gcp), or correct its name, region and project",
    }
    return RequestError(f"{message}; {advice.get(type(error), 'see the code in the documentation of Google Cloud')}")


def _read_key(key: SecretStr) -> Any:
    try:
        return json.loads(key.get_secret_value())
    except ValueError:
        raise RequestError("The service account's key is not JSON; expected the text of a key file") from None
