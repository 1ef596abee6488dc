"""Replace the Prefect blocks that an adapter's configuration names by what they hold."""

from adapters import AdapterChoice
from tasks.request.block_names import names_block


async def without_blocks(choice: AdapterChoice) -> AdapterChoice:
    """A configuration with what the blocks in it hold.

    Raises:
        RequestError: There is no such block.
    """
    if not names_block(choice):
        return choice
    from tasks.request.adapter_blocks import look_up  # imports prefect-aws, which takes two seconds

    return await look_up(choice)
