"""How long a place takes for a chunk, from what its attempts took."""

from tasks.schedule.quantile import RunningQuantile


class Speed:
    """What is known of one place's speed: medians, which a straggler does not move."""

    def __init__(self) -> None:
        self._start_ups = RunningQuantile(0.5)
        self._rates = RunningQuantile(0.5)

    @property
    def is_known(self) -> bool:
        """Whether an output of the place was accepted."""
        return len(self._rates) > 0

    def __len__(self) -> int:
        """How many outputs of the place were accepted."""
        return len(self._rates)

    def add(self, cost: float, *, seconds: float, render_seconds: float) -> None:
        """Count an attempt that was accepted.

        Args:
            cost: What its chunk was expected to cost, above 0.
            seconds: How long the place had it.
            render_seconds: For how much of that its command ran; the rest is the place's start-up.
        """
        own = min(max(render_seconds, 0.0), seconds)
        self._rates.add(own / cost)
        self._start_ups.add(seconds - own)

    @property
    def rate(self) -> float:
        """Seconds of rendering for each unit of cost; the speed is known."""
        return self._rates.value

    def expected(self, cost: float) -> float:
        """Seconds that a chunk of some cost takes here; the speed is known."""
        return self._start_ups.value + self._rates.value * cost
