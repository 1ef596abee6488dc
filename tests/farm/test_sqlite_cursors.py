"""A statement that failed because of a lock does not keep the event loop from releasing that lock."""

import asyncio
import gc
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from farm.server.sqlite_cursors import close_failed_cursors

INSERT = text("INSERT INTO runs VALUES (1)")


async def test_a_failed_statement_is_collected_while_the_same_one_waits_for_a_lock(tmp_path: Path) -> None:
    close_failed_cursors()
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/prefect.db", isolation_level="AUTOCOMMIT")
    gc.disable()
    try:
        async with engine.connect() as holder, engine.connect() as waiter:
            await holder.execute(text("PRAGMA journal_mode = WAL"))
            await holder.execute(text("CREATE TABLE runs (number)"))
            await holder.execute(text("BEGIN IMMEDIATE"))
            await waiter.execute(text("PRAGMA busy_timeout = 0"))
            with pytest.raises(OperationalError, match="database is locked") as failed:
                await waiter.execute(INSERT)
            await waiter.execute(text("PRAGMA busy_timeout = 30000"))
            waits = asyncio.create_task(waiter.execute(INSERT))
            # The statement waits in SQLite now, which can't be seen from outside. On a machine so slow that it does not
            # wait yet, this test proves nothing, and passes.
            await asyncio.sleep(0.5)
            del failed
            gc.collect()  # with the fault, this blocks until SQLite gives up waiting
            await holder.execute(text("COMMIT"))
            await waits
            assert (await holder.execute(text("SELECT count(*) FROM runs"))).scalar_one() == 1
    finally:
        gc.enable()
        await engine.dispose()
