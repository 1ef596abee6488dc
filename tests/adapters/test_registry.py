"""Adapters are found by name, and their settings are checked before anything runs."""

import sys
from pathlib import Path

import pytest

from adapters import adapter_names, create_adapter
from adapters.local import LocalAdapter, LocalAdapterConfig
from helios.errors import RequestError, SpecError


def test_a_name_a_configuration_and_a_model() -> None:
    """An adapter is asked for by its name, or by its configuration as an object or a model."""
    for choice in ("local", {"type": "local", "grace_seconds": 5}, LocalAdapterConfig()):
        name, adapter = create_adapter(choice)
        assert name == "local"
        assert isinstance(adapter, LocalAdapter)


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    """An unknown name is refused with the known names; a configuration without a type is refused, too."""
    with pytest.raises(RequestError, match=r"Unknown adapter 'lamda'\. Known: .*local"):
        create_adapter("lamda")
    with pytest.raises(RequestError, match="has no type"):
        create_adapter({"grace_seconds": 1})


def test_wrong_settings_are_refused() -> None:
    """Wrong settings are refused with path, value and expectation, as in a job document."""
    with pytest.raises(SpecError, match=r"adapter local: grace_seconds: -1; expected greater than or equal to 0"):
        create_adapter({"type": "local", "grace_seconds": -1})
    with pytest.raises(SpecError, match="grace: an unknown field"):
        create_adapter({"type": "local", "grace": 1})


def test_third_parties_add_adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package adds an adapter by the entry-point group `helios.adapters`."""
    (tmp_path / "studio.py").write_text(
        "from typing import Literal\n"
        "from pydantic import BaseModel\n"
        "from helios import WorkerJob, WorkerResult\n"
        "class StudioConfig(BaseModel, frozen=True):\n"
        "    type: Literal['studio'] = 'studio'\n"
        "    host: str = 'localhost'\n"
        "class Studio:\n"
        "    config_type = StudioConfig\n"
        "    def __init__(self, config): self.config = config\n"
        "    async def execute(self, job: WorkerJob, *, on_output=None): return WorkerResult(exit_code=0)\n"
    )
    info = tmp_path / "studio-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: studio\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[helios.adapters]\nstudio = studio:Studio\nbroken = no_such_module:X\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert adapter_names() == ["aws-lambda", "broken", "cloud-run", "cloud-run-job", "farm", "local", "studio"]
        name, adapter = create_adapter({"type": "studio", "host": "render-1"})
        assert (name, adapter.config.host) == ("studio", "render-1")  # type: ignore[attr-defined]
        with pytest.raises(RequestError, match="'broken' can't be loaded: No module named 'no_such_module'"):
            create_adapter("broken")
    finally:
        sys.modules.pop("studio", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"credentials": {"access_key_id": "a", "secret_access_key": 4711}},
        {"credentials": "4711"},
        {"storage": {"url": "s3://b", "secret_access_key": 4711}},
        {"storage": {"url": "s3://b", "service_account_key": [4711]}},
    ],
)
def test_a_secret_that_is_wrong_is_not_shown(wrong: dict[str, object]) -> None:
    """The error about a wrong secret does not quote the secret."""
    with pytest.raises(RequestError) as caught:
        create_adapter({"type": "aws-lambda", "storage": "s3://b", **wrong})
    assert "4711" not in str(caught.value)
    assert "aws-lambda" in str(caught.value)
