"""--adapter may be repeated, and --adapter-config may be a list of adapters with their bounds."""

import json
from pathlib import Path

import pytest

from adapters.farm_config import FarmConfig
from adapters.local import LocalAdapterConfig
from cli.adapter_option import read_adapters
from helios.errors import RequestError
from tasks.request.places import PlaceSettings


def test_one_adapter_is_no_list() -> None:
    """Its settings are read as ever."""
    assert read_adapters(["local"], None) == "local"
    assert isinstance(read_adapters(["farm"], '{"sandbox": "bubblewrap"}'), FarmConfig)


def test_repeated_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has the settings of its own variable."""
    monkeypatch.setenv("HELIOS_FARM_CONFIG", '{"node_wait_seconds": 3}')
    found = read_adapters(["local", "farm"], None)
    assert isinstance(found, list)
    assert found[0].adapter == "local"
    assert found[1].adapter == FarmConfig(node_wait_seconds=3)


def test_a_list_of_settings(tmp_path: Path) -> None:
    """Entries are names, settings, saved blocks, or these with a bound and a price; the list may be in a file."""
    entries = [
        {"adapter": "local", "concurrency": 2},
        {"adapter": {"type": "farm"}, "cost_per_hour": 0.5, "name": "studio"},
        {"type": "local", "grace_seconds": 1, "env": {}},
        "aws-lambda/production",
    ]
    entries[2] = {"adapter": entries[2], "name": "second"}
    (tmp_path / "places.json").write_text(json.dumps(entries))
    for config in (json.dumps(entries), f"@{tmp_path / 'places.json'}"):
        assert read_adapters(["local"], config) == [
            PlaceSettings(adapter="local", concurrency=2),
            PlaceSettings(adapter=FarmConfig(), cost_per_hour=0.5, name="studio"),
            PlaceSettings(adapter=LocalAdapterConfig(grace_seconds=1), name="second"),
            PlaceSettings.model_construct(adapter="aws-lambda/production"),
        ]


WRONG = [
    (["local", "local"], None, "both called 'local'"),
    (["local", "farm"], '{"grace_seconds": 1}', "expected a list"),
    (["local", "farm"], '["local", "cloud-run"]', "--adapter-config lists local, cloud-run"),
    (["aws-lambda"], '["local", "farm"]', "--adapter-config lists local, farm"),
    (["local"], '["s3://bucket"]', "entry 1 of the list is no object, and names no adapter"),
    (["local"], "[]", "0 entries"),
    (["local"], '[{"adapter": "local", "concurrency": 0}]', "concurrency: 0"),
    (["local"], '[{"adapter": {"type": "farm", "slots": 3}}]', "slots: an unknown field"),
    (["local"], '[{"adapter": {"sandbox": null}}]', "the adapter's name as type"),
    (["local"], '[{"sandbox": null}]', "adapter 1 of the list: 2 problems"),
    (["local"], "[7]", "adapter 1 of the list"),
]


@pytest.mark.parametrize(("names", "config", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_refused(names: list[str], config: str | None, message: str) -> None:
    """One clear error, before anything else is read."""
    with pytest.raises(RequestError, match=message.replace("(", r"\(")):
        read_adapters(names, config)
