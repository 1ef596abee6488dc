"""Folders in each kind of storage, over their real protocols."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from testbed.cloud.aws import Aws
from testbed.cloud.google import Google
from testbed.cloud.google_identity import ACCESS_TOKEN


@pytest.fixture(params=["file", "s3", "gs"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """A folder in each kind of storage."""
    name = f"storage/{os.getpid()}-{request.node.name.split('[')[0]}"
    match request.param:
        case "file":
            yield Storage(StorageSettings(url=(tmp_path / "store").as_uri()))
        case "s3":
            amazon: Aws = request.getfixturevalue("amazon")
            yield Storage(StorageSettings(url=f"{amazon.storage_url}/{name}"))
        case _:
            google: Google = request.getfixturevalue("google")
            request.getfixturevalue("monkeypatch").setenv("GOOGLE_BEARER_TOKEN", ACCESS_TOKEN)
            yield Storage(StorageSettings(url=f"{google.storage_url}/{name}"))
