"""What adapters on Amazon's cloud share: sessions, credentials, and its errors in our three kinds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, SecretStr

from helios.errors import HeliosError, RequestError, WorkerUnavailableError

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import ClientError

TEMPORARY = {
    "TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded", "ServiceException",
    "ServiceUnavailableException", "InternalError", "EC2ThrottledException", "EC2UnexpectedException",
    "ENILimitReachedException", "EFSMountTimeoutException", "EFSMountConnectivityException", "EFSIOException",
    "ResourceConflictException", "ResourceNotReadyException", "SnapStartNotReadyException",
}  # fmt: skip
"""Error codes of Lambda's `Invoke` after which another try may succeed:
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors"""
ADVICE = {
    "ResourceNotFoundException": "deploy it (deploy/aws), or correct its name and region",
    "AccessDeniedException": "allow lambda:InvokeFunction on it to these credentials",
    "ExpiredTokenException": "renew the credentials",
    "ExpiredToken": "renew the credentials",
    "UnrecognizedClientException": "check the credentials",
    "InvalidSignatureException": "check the secret key, and this machine's clock",
    "RequestTooLargeException": "shorten the variables (env); a request may have 6 MB, an asynchronous one 1 MB",
}


class AwsKeys(BaseModel):
    """Keys, for where the standard chain has none. Keep them in a Prefect block."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    access_key_id: str
    """The key's id."""
    secret_access_key: SecretStr
    """The key."""
    session_token: SecretStr | None = None
    """Of temporary keys."""


def open_session(*, keys: AwsKeys | None, profile: str | None, region: str | None) -> boto3.Session:
    """Open a session with the given keys, the profile, or the standard chain.

    Raises:
        RequestError: There are no credentials, or no region.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    given: dict[str, Any] = {}
    if keys is not None:
        token = keys.session_token
        given = {
            "aws_access_key_id": keys.access_key_id,
            "aws_secret_access_key": keys.secret_access_key.get_secret_value(),
            "aws_session_token": token.get_secret_value() if token else None,
        }
    try:
        # boto3 alone among Amazon's SDKs does not read AWS_REGION.
        session = boto3.Session(profile_name=profile, region_name=region or os.environ.get("AWS_REGION"), **given)
        if session.get_credentials() is None:
            raise RequestError(
                "There are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "give the adapter a block with them"
            )
    except BotoCoreError as exc:
        raise RequestError(f"The AWS credentials can't be read: {exc}") from exc
    if session.region_name is None:
        raise RequestError("There is no AWS region: set AWS_REGION, or give the adapter one (region)")
    return session


def translate(error: ClientError, *, what: str) -> HeliosError:
    """Translate a refusal by Amazon into an error of its kind.

    Args:
        error: The client's error.
        what: What was asked: `the function render`.
    """
    details, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, status = details.get("Code", "Unknown"), metadata.get("HTTPStatusCode", 0)
    message = f"{code}: {details.get('Message', '')} ({what}, request {metadata.get('RequestId', 'unknown')})"
    if code in TEMPORARY or status == 429 or status >= 500:
        return WorkerUnavailableError(message)
    return RequestError(f"{message}; {ADVICE.get(code, 'see the code in the documentation of AWS')}")
