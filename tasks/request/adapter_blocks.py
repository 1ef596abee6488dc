"""Adapters' configurations as Prefect blocks, and blocks of prefect-aws inside them.

Secrets of a block are encrypted in Prefect's database and masked wherever it is shown; a flow run's parameters
are neither. So a run names a block (`aws-lambda/production`), and what it holds is looked up here.

This module imports prefect-aws, which takes two seconds: it is imported when a block is named.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from prefect.blocks.core import Block
from prefect_aws import AwsCredentials, S3Bucket
from pydantic import BaseModel, SecretStr, create_model

from adapters import settings_of
from adapters.aws import AwsKeys
from adapters.aws_lambda import AwsLambdaConfig
from adapters.cloud_run import CloudRunConfig
from adapters.cloud_run_job import CloudRunJobConfig
from helios.errors import RequestError
from helios.storage.stores import StorageSettings
from tasks.request.block_names import BLOCK, find_block_name


class AdapterBlock(Block):
    """A saved configuration of an adapter."""

    adapter: ClassVar[str]
    """The adapter's name."""


def _block_type(config: type[BaseModel], title: str) -> type[AdapterBlock]:
    """A block with the fields of a configuration; where it wants storage or keys, also blocks of prefect-aws."""
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in config.model_fields.items()}
    name = fields.pop("type")[1].default
    fields["storage"] = (S3Bucket | StorageSettings | str, ...)
    if "credentials" in fields:
        fields["credentials"] = (AwsCredentials | AwsKeys | None, None)
    block: type[AdapterBlock] = create_model(
        title.replace(" ", ""), __base__=AdapterBlock, __module__=__name__, **fields
    )
    block.adapter = name
    block._block_type_name = f"Helios {title}"
    block._block_type_slug = f"helios-{name}"
    block._description = (config.__doc__ or "").splitlines()[0]
    return block


AwsLambda = _block_type(AwsLambdaConfig, "AWS Lambda")
CloudRun = _block_type(CloudRunConfig, "Cloud Run")
CloudRunJob = _block_type(CloudRunJobConfig, "Cloud Run Job")
BLOCK_TYPES = {block.adapter: block for block in (AwsLambda, CloudRun, CloudRunJob)}


async def look_up(choice: str | Mapping[str, Any] | BaseModel) -> dict[str, Any]:
    """Replace every block that an adapter's configuration names by what it holds.

    Args:
        choice: `ADAPTER/BLOCK`, or a configuration, whose `type` may be that too and whose values may be
            `block:TYPE/NAME`.

    Raises:
        RequestError: There is no such block.
    """
    settings = settings_of(choice)
    adapter, _, name = str(settings.pop("type")).partition("/")
    if name:
        saved = await _load(BLOCK_TYPES[adapter], name) if adapter in BLOCK_TYPES else None
        if not isinstance(saved, AdapterBlock):
            raise RequestError(f"No blocks are known for the adapter {adapter!r}. Known: {', '.join(BLOCK_TYPES)}.")
        settings = {field: getattr(saved, field) for field in type(saved).model_fields} | settings
    found = {key: await _value(value) for key, value in settings.items()}
    if isinstance(found.get("credentials"), AwsCredentials):
        found |= _aws(found["credentials"], found)
    if isinstance(found.get("storage"), S3Bucket):
        found["storage"] = _bucket(found["storage"])
    return {"type": adapter, **found}


async def _value(value: Any) -> Any:
    if not isinstance(value, str) or (named := find_block_name(value)) is None:
        return value
    kind, _, name = named.partition("/")
    types: dict[str, type[Block]] = {"s3-bucket": S3Bucket, "aws-credentials": AwsCredentials}
    if kind not in types:
        raise RequestError(f"{value!r} names no block that is known here; expected one of "
                           f"{', '.join(f'{BLOCK}{known}/NAME' for known in types)}")  # fmt: skip
    return await _load(types[kind], name)


async def _load(block_type: type[Block], name: str) -> Block:
    try:
        return await block_type.aload(name)
    except ValueError as exc:
        slug = block_type.get_block_type_slug()
        raise RequestError(f"There is no block {slug}/{name} in Prefect; save one, or name another: {exc}") from None


def _aws(block: AwsCredentials, settings: Mapping[str, Any]) -> dict[str, Any]:
    """An AwsCredentials block as an adapter's settings; what the settings say themselves stays."""
    return {
        "credentials": _keys(block),
        "profile": settings.get("profile") or block.profile_name,
        "region": settings.get("region") or block.region_name,
        "endpoint": settings.get("endpoint") or block.aws_client_parameters.endpoint_url,
    }


def _keys(block: AwsCredentials) -> AwsKeys | None:
    if block.aws_access_key_id is None or block.aws_secret_access_key is None:
        return None
    token = SecretStr(block.aws_session_token) if block.aws_session_token else None
    return AwsKeys(
        access_key_id=block.aws_access_key_id, secret_access_key=block.aws_secret_access_key, session_token=token
    )


def _bucket(block: S3Bucket) -> StorageSettings:
    """An S3Bucket block as storage; with credentials of MinIO's too."""
    url = f"s3://{'/'.join(part.strip('/') for part in (block.bucket_name, block.bucket_folder) if part.strip('/'))}"
    given: dict[str, Any] = {
        "region": block.credentials.region_name,
        "endpoint": block.credentials.aws_client_parameters.endpoint_url,
    }
    if isinstance(block.credentials, AwsCredentials):
        if keys := _keys(block.credentials):
            given |= dict(keys)
    else:
        given["access_key_id"] = block.credentials.minio_root_user
        given["secret_access_key"] = block.credentials.minio_root_password
    return StorageSettings(url=url, **given)
