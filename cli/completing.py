"""What the shell completes behind a command: runs, adapters and saved blocks, files.

Nothing is started for it: runs and blocks are those of a server that is up, and nothing is offered where none is.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import click
from click.shell_completion import CompletionItem

MOST_RUNS = 50
"""Runs that are offered, the newest first."""
BLOCKS = "helios-"
"""Begins the types of blocks that hold an adapter's settings."""


def complete_run(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """The names of the newest runs, with their states."""

    async def ask(client: Any) -> list[CompletionItem]:
        import farm

        found = await farm.list_runs(limit=MOST_RUNS, client=client)
        return [CompletionItem(one.name, help=one.state) for one in found if one.name.startswith(begun)]

    return _asked(ask)


def complete_adapter(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """The adapters' names, and the saved blocks with an adapter's settings."""
    from adapters import adapter_names

    async def ask(client: Any) -> list[CompletionItem]:
        found = await client.read_block_documents()
        names = [f"{one.block_type.slug}/{one.name}" for one in found if one.block_type and one.name]
        return [CompletionItem(name) for name in names if name.startswith(begun) and name.startswith(BLOCKS)]

    known = [CompletionItem(name) for name in adapter_names() if name.startswith(begun)]
    return known if known and begun else known + _asked(ask)


def complete_file(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Files, as the shell finds them."""
    return [CompletionItem(begun, type="file")]


run_argument = click.argument("run", shell_complete=complete_run)
"""The argument of commands that take a run."""


def _asked(question: Callable[[Any], Coroutine[Any, Any, list[CompletionItem]]]) -> list[CompletionItem]:
    """Ask the server that is up; nothing where there is none, or where it can't be asked."""
    import asyncio

    from cli.ask import with_client
    from farm.server.connect import running_server

    try:
        with running_server() as address:
            return asyncio.run(with_client(question)) if address else []
    except Exception:  # noqa: BLE001  a shell shows no errors while it completes
        return []
