"""Replace the Prefect blocks that an adapter's configuration names by what they hold."""

from adapters import AdapterChoice
from tasks.request.block_names import names_block
from tasks.request.places import AdapterChoices, is_list, read_places


async def without_blocks(choice: AdapterChoice) -> AdapterChoice:
    """A configuration with what the blocks in it hold.

    Raises:
        RequestError: There is no such block.
    """
    if not names_block(choice):
        return choice
    from tasks.request.adapter_blocks import look_up  # imports prefect-aws, which takes two seconds

    return await look_up(choice)


async def all_without_blocks(choice: AdapterChoices) -> AdapterChoices:
    """What a request names as its adapter, or as a list of them, with what the blocks in it hold.

    Raises:
        RequestError: There is no such block, or the list is not sound.
    """
    places = read_places(choice)
    if not is_list(choice):
        return await without_blocks(places[0].adapter)
    found = [await without_blocks(place.adapter) for place in places]
    return [
        place.model_copy(update={"adapter": adapter, "name": place.label})
        for place, adapter in zip(places, found, strict=True)
    ]
