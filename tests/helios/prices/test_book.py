"""Where prices come from, and what a bad file is answered with."""

from pathlib import Path

import pytest

from helios.errors import RequestError
from helios.prices.book import SHIPPED, PriceBook, load_prices, own_file
from helios.variables import PRICES


def book(folder: Path, text: str) -> PriceBook:
    """The prices with a file of one's own."""
    path = folder / "prices.toml"
    path.write_text(text)
    return load_prices(path)


def test_the_shipped_prices() -> None:
    """They are dated, in one currency, and name their sources."""
    found = load_prices()
    assert (found.currency, found.date.year >= 2026) == ("USD", True)
    assert {name: price.is_free for name, price in found.adapters.items()} == {
        "local": True, "farm": True, "aws-lambda": False, "cloud-run": False, "cloud-run-job": False,
    }  # fmt: skip
    assert all((price.source or "").startswith("https://") for price in found.adapters.values() if not price.is_free)


def test_single_values_of_one_s_own(tmp_path: Path) -> None:
    """A file of one's own replaces what it names, and adds adapters; the rest stays."""
    found = book(
        tmp_path,
        "[adapters.local]\nhour = 0.36\n[adapters.folder-farm]\nhour = 1\n"
        "[adapters.aws-lambda]\nmemory_mib = 512\nregions.mars-1 = 3\ngib_second.arm64 = 0.00001\n",
    )
    shipped = load_prices()
    assert (found.of("local").hour, found.of("folder-farm").hour) == (0.36, 1)
    own, theirs = found.of("aws-lambda"), shipped.of("aws-lambda")
    assert (own.memory_mib, own.request) == (512, theirs.request)
    assert own.regions == {**theirs.regions, "mars-1": 3}
    assert own.gib_second == {"x86_64": 0.0000166667, "arm64": 0.00001}
    assert (found.date, found.of("cloud-run")) == (shipped.date, shipped.of("cloud-run"))


def test_another_currency(tmp_path: Path) -> None:
    """Prices in another currency are not mixed with those of the package."""
    found = book(tmp_path, 'currency = "EUR"\n[adapters.local]\nhour = 0.3\n')
    assert (found.currency, found.of("local").hour, found.of("aws-lambda").is_free) == ("EUR", 0.3, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("adapters = [", "is no TOML ("),
        ("\xff", "is no TOML ("),
        ("[adapters.local]\nhour = -1\n", "adapters.local.hour: -1; expected greater than or equal to 0"),
        ("[adapters.local]\nhour = nan\n", "adapters.local.hour: "),
        ("[adapters.local]\nhuor = 1\n", "adapters.local.huor: an unknown field; expected only fields of a file of"),
        ("[adapters.local]\nhour = 'a lot'\n", 'adapters.local.hour: "a lot"; expected'),
        ("[adapters.local]\nstep_ms = 0\n", "adapters.local.step_ms: 0; expected greater than or equal to 1"),
        ("[adapters.aws-lambda]\nregions.x = 0\n", "adapters.aws-lambda.regions.x: 0; expected greater than 0"),
        ("currency = 'dollars'\n", "currency: "),
        ("date = 'soon'\n", "date: "),
        ("adapters = 3\n", "adapters: 3; expected"),
        ("#" * 1_048_577, "has more than 1048576 bytes"),
    ],
)  # fmt: skip
def test_a_bad_file(tmp_path: Path, text: str, says: str) -> None:
    """It is refused with its path, the field, the value and what was expected, in one line."""
    path = tmp_path / "prices.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RequestError) as raised:
        load_prices(path)
    assert str(raised.value).startswith(f"{path}")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_where_one_s_own_file_is(tmp_path: Path) -> None:
    """The variable goes before the folder of settings; a file that it names has to be there."""
    usual = tmp_path / "helios-job" / "prices.toml"
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert own_file(environment) is None
    usual.parent.mkdir()
    usual.touch()
    assert own_file(environment) == usual
    assert own_file({**environment, PRICES: str(SHIPPED)}) == SHIPPED
    with pytest.raises(RequestError, match=f"{PRICES}=/nowhere.toml: there is no such file"):
        own_file({PRICES: "/nowhere.toml"})
