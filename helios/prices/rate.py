"""What one execution on a worker costs: the platform's rounding, and its prices. Pure."""

from dataclasses import dataclass, field

from helios.prices.book import AdapterPrice
from helios.usage import MIB_IN_GIB, Usage, WorkerSize

SECONDS_IN_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of workers of one kind and size."""

    price: AdapterPrice
    """Their adapter's price."""
    size: WorkerSize = field(default_factory=WorkerSize)
    """What is known of the workers; what is not is as the price says."""

    @property
    def is_free(self) -> bool:
        """Whether they cost nothing."""
        return self.price.is_free

    @property
    def is_of_another_region(self) -> bool:
        """Whether the workers run in a region whose price is not known, so that they have that of another one."""
        price, region = self.price, self.size.region
        return region is not None and price.region is not None and region not in (price.region, *price.regions)

    @property
    def factor(self) -> float:
        """Of the prices of time, for the region."""
        return self.price.regions.get(self.size.region or "", 1.0)

    def billed_ms(self, usage: Usage) -> int:
        """The time that the platform bills, in milliseconds: rounded up, and at least what it bills at least."""
        if usage.requests == 0:
            return 0
        step = self.price.step_ms
        return max(-(-usage.milliseconds // step) * step, self.price.least_ms)

    def second(self, memory_mib: int | None = None) -> float:
        """What a second of a worker costs.

        Args:
            memory_mib: Its memory, where an execution has told it.
        """
        price, size = self.price, self.size
        memory = (memory_mib or size.memory_mib or price.memory_mib) / MIB_IN_GIB
        compute = (size.vcpus or price.vcpus) * price.vcpu_second + memory * self._gib_second
        return compute * self.factor + price.hour / SECONDS_IN_HOUR

    def cost(self, usage: Usage) -> float:
        """What one execution costs."""
        seconds = self.billed_ms(usage) / 1000
        return usage.requests * self.price.request + seconds * self.second(usage.memory_mib)

    @property
    def _gib_second(self) -> float:
        found = self.price.gib_second
        if not isinstance(found, dict):
            return found
        architecture = self.size.architecture or self.price.architecture or ""
        # Of an architecture that the file does not name, the dearest: a budget is rather kept than exceeded.
        return found.get(architecture, max(found.values(), default=0.0))
