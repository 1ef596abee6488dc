"""`helios-job cache`: look after a cache of outputs."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from cli.exit_codes import EXIT_FAILED
from cli.say import say
from helios.errors import RequestError
from helios.sizes import write_size
from helios.storage import cache_upkeep
from helios.storage.folder import Storage
from helios.storage.local_folder import path_of
from helios.storage.output_cache import OutputCache, cache_url
from helios.storage.stores import StorageSettings

T = TypeVar("T")


@click.group(epilog="Example: helios-job cache show s3://bucket/cache")
def cache() -> None:
    """Look after a cache of outputs (--cache): a folder, or an s3:// or gs:// URL, with the environment's rights."""


@cache.command(epilog="Example: helios-job cache show /srv/cache")
@click.argument("url")
def show(url: str) -> int:
    """Say how many outputs are in a cache, how large it is, and when it was used."""
    size = _run(url, cache_upkeep.measure)
    say(f"{size.entries} outputs, {size.bytes} bytes ({write_size(size.bytes)})")
    if size.oldest is not None and size.newest is not None:
        say(f"last uses from {size.oldest:%Y-%m-%d %H:%M:%S} to {size.newest:%Y-%m-%d %H:%M:%S} UTC")
    return 0


@cache.command(epilog="Example: helios-job cache verify /srv/cache")
@click.argument("url")
def verify(url: str) -> int:
    """Read all of a cache, and remove the outputs that are torn. The exit code is 1 if there are any."""

    async def read(found: OutputCache) -> tuple[int, int]:
        read = torn = 0
        async for key, wrong in cache_upkeep.verify(found):
            read += 1
            if wrong is not None:
                torn += 1
                say(f"{key} {wrong}; removed")
        return read, torn

    read_count, torn_count = _run(url, read)
    say(f"{read_count} outputs were read, {torn_count} were torn")
    return EXIT_FAILED if torn_count else 0


@cache.command(epilog="Example: helios-job cache empty /srv/cache --yes")
@click.argument("url")
@click.option("--yes", is_flag=True, help="Do not ask.")
def empty(url: str, *, yes: bool) -> int:
    """Remove all outputs from a cache, and nothing else from its folder."""
    if not yes:
        size = _run(url, cache_upkeep.measure)
        question = f"Remove {size.entries} outputs ({write_size(size.bytes)}) from {url}?"
        if not sys.stdin.isatty():
            raise RequestError(f"{question} This is no terminal to ask on; say so with --yes")
        click.confirm(question, abort=True)
    say(f"{_run(url, cache_upkeep.empty)} outputs were removed from {url}")
    return 0


def _run(place: str, work: Callable[[OutputCache], Coroutine[Any, Any, T]]) -> T:
    """Do something with a cache that exists.

    Raises:
        RequestError: There is no cache at the place.
    """
    url = cache_url(place)
    missing = RequestError(
        f"There is no cache at {place}; expected a folder or URL that a job had as its cache (--cache)"
    )
    path = path_of(url)
    if path is not None and not path.is_dir():
        raise missing
    found = OutputCache(Storage(StorageSettings(url=url)))

    async def checked() -> T:
        if not await found.check():
            raise missing
        return await work(found)

    return asyncio.run(checked())
