"""What an execution costs, held against the platforms' published rules, computed by hand."""

import pytest

from helios.models.cost_text import money
from helios.prices.book import AdapterPrice, load_prices
from helios.prices.rate import Rate
from helios.usage import UNBILLED, Usage, WorkerSize

PRICES = load_prices()


def rate(adapter: str, **size: object) -> Rate:
    return Rate(PRICES.of(adapter), WorkerSize(**size))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("adapter", "size", "milliseconds", "expected"),
    [
        # 2 GB for 1.234 s, and a request
        ("aws-lambda", {"memory_mib": 2048}, 1234, 2 * 1.234 * 0.0000166667 + 0.20e-6),
        ("aws-lambda", {"memory_mib": 2048, "architecture": "arm64"}, 1234, 2 * 1.234 * 0.0000133334 + 0.20e-6),
        ("aws-lambda", {"memory_mib": 1024, "region": "af-south-1"}, 1000, 1.326 * 0.0000166667 + 0.20e-6),
        # 2 vCPUs and 4 GiB for 1.3 s, the next tenth, and a request
        ("cloud-run", {}, 1201, 1.3 * (2 * 0.000024 + 4 * 0.0000025) + 0.40e-6),
        ("cloud-run", {"vcpus": 1, "memory_mib": 512, "region": "asia-northeast3"}, 100,
         0.1 * (0.0000336 + 0.5 * 0.0000035) + 0.40e-6),
        # a minute at least, then tenths of a second
        ("cloud-run-job", {}, 3000, 60 * (2 * 0.000018 + 4 * 0.000002)),
        ("cloud-run-job", {}, 61_050, 61.1 * (2 * 0.000018 + 4 * 0.000002)),
        ("cloud-run-job", {"region": "europe-west3"}, 3000, 60 * (2 * 0.0000216 + 4 * 0.0000024)),
        ("local", {}, 3_600_000, 0.0),
        ("of-a-third-party", {}, 3_600_000, 0.0),
    ],
)  # fmt: skip
def test_rounding(adapter: str, size: dict[str, object], milliseconds: int, expected: float) -> None:
    """The shipped prices, rounded as the platforms round, give what their price lists give."""
    assert rate(adapter, **size).cost(Usage(milliseconds=milliseconds)) == pytest.approx(expected, rel=1e-9)


def test_an_hourly_price() -> None:
    """A slot that costs 1.80 an hour costs 0.0005 a second."""
    assert Rate(AdapterPrice(hour=1.8)).cost(Usage(milliseconds=10_000)) == pytest.approx(0.005)


@pytest.mark.parametrize("adapter", ["aws-lambda", "cloud-run", "cloud-run-job"])
def test_what_no_worker_took_on(adapter: str) -> None:
    """A request that was refused costs nothing, where a task is billed for a minute at least, too."""
    assert rate(adapter).cost(UNBILLED) == 0


def test_the_memory_that_the_platform_names() -> None:
    """The memory in a report of the platform goes before the configured one."""
    own = rate("aws-lambda", memory_mib=1024)
    assert own.cost(Usage(milliseconds=1000, memory_mib=4096)) == pytest.approx(4 * 0.0000166667 + 0.20e-6)


def test_an_unknown_architecture_is_the_dearest() -> None:
    """Of an architecture without a price, the dearest counts: a budget is rather kept."""
    unknown, arm = rate("aws-lambda", architecture="riscv"), rate("aws-lambda", architecture="arm64")
    assert unknown.second() == rate("aws-lambda", architecture="x86_64").second() > arm.second()


def test_an_unknown_region() -> None:
    """A region without a price has that of the price's own region, and is known as one."""
    far, near = rate("cloud-run", region="moon-1"), rate("cloud-run", region="us-central1")
    assert (far.second(), far.is_of_another_region) == (near.second(), True)
    assert not near.is_of_another_region
    assert not rate("cloud-run", region="us-west1").is_of_another_region


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "0.00 USD"),
        (0.00001234, "0.0000123 USD"),
        (0.5, "0.500 USD"),
        (12.344, "12.34 USD"),
        (1e-15, f"0.{'0' * 12} USD"),
    ],
)
def test_amounts_in_words(amount: float, words: str) -> None:
    """An amount has cents; one below one has three digits that say something."""
    assert money(amount, "USD") == words
