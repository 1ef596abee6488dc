"""The prices of all adapters, from the file of this package and a person's own.

A file of one's own is `~/.config/helios-job/prices.toml`, or the one that HELIOS_PRICES names. It has the fields of
`helios/prices/prices.toml`, as many as differ.
"""

import os
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from helios.errors import RequestError, SpecError
from helios.job.source import describe
from helios.variables import PRICES

SHIPPED = Path(__file__).with_name("prices.toml")
"""The prices of this package."""
MAX_BYTES = 1024 * 1024
"""Of a file; what is longer, such as a device that never ends, has no prices."""
LATEST_MS = 24 * 3600 * 1000

_Price = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class AdapterPrice(_Read):
    """What an adapter's workers cost, in the currency of its file."""

    source: str | None = None
    """Where the platform publishes its prices."""
    region: str | None = None
    """The region of these prices."""
    regions: dict[str, Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]] = Field(default_factory=dict)
    """Factors of the prices of time in other regions."""
    request: _Price = 0.0
    """Each execution on a worker."""
    hour: _Price = 0.0
    """An hour of a worker, whatever its size."""
    vcpu_second: _Price = 0.0
    """A second of a CPU."""
    gib_second: _Price | dict[str, _Price] = 0.0
    """A second of a GiB of memory; by architecture where that differs."""
    step_ms: Annotated[int, Field(ge=1, le=LATEST_MS)] = 1
    """Time is rounded up to a multiple of this."""
    least_ms: Annotated[int, Field(ge=0, le=LATEST_MS)] = 0
    """Shorter executions are billed as this long."""
    vcpus: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] = 1.0
    """CPUs of a worker, where the adapter does not know them."""
    memory_mib: Annotated[int, Field(ge=1, le=2**24)] = 1024
    """Memory of a worker in MiB, where the adapter does not know it."""
    architecture: str | None = None
    """Architecture of a worker, where the adapter does not know it."""

    @property
    def is_free(self) -> bool:
        """Whether nothing costs anything."""
        memory = self.gib_second.values() if isinstance(self.gib_second, dict) else (self.gib_second,)
        return not any((self.request, self.hour, self.vcpu_second, *memory))


FREE = AdapterPrice()
"""The price of an adapter that no file names."""


class PriceBook(_Read):
    """The prices of all adapters."""

    date: date
    """As of when they hold."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    """Of every price: three letters, such as `USD`."""
    adapters: dict[str, AdapterPrice] = Field(default_factory=dict)
    """By the adapter's name."""

    def of(self, adapter: str) -> AdapterPrice:
        """The price of an adapter; that of one without an entry is 0."""
        return self.adapters.get(adapter, FREE)


def own_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file with a person's own prices; None where there is none.

    Raises:
        RequestError: The variable names a file that is not there.
    """
    if named := environment.get(PRICES):
        path = Path(named).expanduser()
        if not path.is_file():
            raise RequestError(f"{PRICES}={named}: there is no such file; name a file of prices, or unset the variable")
        return path
    path = usual_file(environment)
    try:
        return path if path.exists() else None
    except OSError:  # a home folder of another user
        return None


def usual_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where a person's own prices are looked for, unless the variable names another file."""
    config = environment.get("XDG_CONFIG_HOME", "")
    base = Path(config) if config.startswith("/") else Path("~/.config").expanduser()
    return base / "helios-job" / "prices.toml"


def load_prices(own: Path | None = None) -> PriceBook:
    """Read the prices of this package, and one's own over them.

    Where the currency of one's own is another one, the prices of this package don't count.

    Args:
        own: One's own file; `own_file()` finds it.

    Raises:
        RequestError: A file can't be read, or is no file of prices; says which field, and what was expected.
    """
    shipped = _read(SHIPPED)
    if own is None:
        return _checked(shipped, SHIPPED)
    given = _read(own)
    base = shipped if given.get("currency", shipped["currency"]) == shipped["currency"] else {"date": shipped["date"]}
    return _checked(_merged(base, given), own)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise RequestError(f"{path} has more than {MAX_BYTES} bytes; expected a file of prices (docs/money.md)")
        return tomllib.loads(data.decode())
    except OSError as exc:
        raise RequestError(f"{path} can't be read ({exc.strerror or exc}); mend it, or name another file "
                           f"({PRICES})") from None  # fmt: skip
    except ValueError as exc:  # also what is no UTF-8
        raise RequestError(f"{path} is no TOML ({exc}); expected a file of prices (docs/money.md)") from None


def _checked(document: dict[str, Any], path: Path) -> PriceBook:
    try:
        return PriceBook.model_validate(document)
    except ValidationError as exc:
        raise SpecError(str(path), describe(exc, of="of a file of prices (docs/money.md)")) from None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the values of another one over its own."""
    found = dict(base)
    for name, value in over.items():
        known = found.get(name)
        found[name] = _merged(known, value) if isinstance(value, dict) and isinstance(known, dict) else value
    return found
