"""Where Prefect keeps results, if that is a block: PREFECT_DEFAULT_RESULT_STORAGE_BLOCK.

Prefect's engine loads the block before the flow's own code begins; what is wrong with it would be a traceback.
"""

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound
from prefect.results import aget_default_result_storage
from prefect.settings import get_current_settings

from helios.errors import RequestError

VARIABLE = "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"
STORES = {"read-path", "write-path"}
"""What a block can do that keeps results, in Prefect's words."""
OR_UNSET = "or unset it to keep results in a folder (PREFECT_LOCAL_STORAGE_PATH)"


async def check_result_storage(client: PrefectClient) -> None:
    """Load the block, if one is named.

    Raises:
        RequestError: It is not there, keeps no files, or can't be loaded.
    """
    name = get_current_settings().results.default_storage_block
    if name is None:
        return
    kind, _, block = name.partition("/")
    if not kind or not block or "/" in block:
        raise RequestError(f"{VARIABLE}={name} does not name a block; expected TYPE/NAME, such as s3-bucket/renders, "
                           f"{OR_UNSET}")  # fmt: skip
    document = await _find(client, kind, block)
    schema = document.block_schema
    if schema is not None and not set(schema.capabilities) >= STORES:
        raise RequestError(f"{VARIABLE}={name} keeps no files; name a block that does, such as s3-bucket/renders, "
                           f"{OR_UNSET}")  # fmt: skip
    try:
        await aget_default_result_storage()  # Prefect keeps it for the run
    except Exception as exc:  # a block of any kind may raise anything
        reason = str(exc).partition("\n")[0] or type(exc).__name__
        raise RequestError(f"{VARIABLE}={name} can't be loaded ({reason}); install the package of its type, and save "
                           "the block again, or name another one") from exc  # fmt: skip


async def _find(client: PrefectClient, kind: str, block: str) -> BlockDocument:
    try:
        return await client.read_block_document_by_name(block, kind, include_secrets=False)
    except ObjectNotFound:
        raise RequestError(
            f"{VARIABLE}={kind}/{block}: there is no such block on the server at {client.api_url}; save it there "
            f"(docs/operations.md), name another one, {OR_UNSET}"
        ) from None
