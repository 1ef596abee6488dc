"""How the slots of a limit are shared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.schedule.shares import Demand, share_slots

DEMANDS = st.dictionaries(
    st.text(alphabet="abcdef", min_size=1, max_size=2),
    st.builds(Demand, weight=st.integers(1, 1000), wants=st.integers(0, 60)),
    max_size=6,
)


@pytest.mark.parametrize(
    ("total", "demands", "shares"),
    [
        (10, {"one": (4, 10)}, {"one": 10}),
        (10, {"one": (4, 3)}, {"one": 3}),
        (10, {"one": (4, 10), "two": (4, 10)}, {"one": 5, "two": 5}),
        (10, {"long": (4, 10), "short": (4, 2)}, {"long": 8, "short": 2}),
        (20, {"urgent": (16, 20), "usual": (4, 20)}, {"urgent": 16, "usual": 4}),
        (21, {"urgent": (16, 50), "usual": (4, 50), "late": (1, 50)}, {"urgent": 16, "usual": 4, "late": 1}),
        (3, {"urgent": (16, 50), "usual": (4, 50), "late": (1, 50)}, {"urgent": 1, "usual": 1, "late": 1}),
        (2, {"urgent": (16, 50), "usual": (4, 50), "late": (1, 50)}, {"urgent": 1, "usual": 1, "late": 0}),
        (0, {"one": (4, 10)}, {"one": 0}),
        (5, {}, {}),
    ],
)
def test_shares(total: int, demands: dict[str, tuple[int, int]], shares: dict[str, int]) -> None:
    """Slots go by weight, nobody gets more than it wants, and a first slot comes before any second one."""
    assert share_slots(total, {name: Demand(*demand) for name, demand in demands.items()}) == shares


@given(total=st.integers(0, 100), demands=DEMANDS)
def test_no_slot_is_lost_or_given_twice(total: int, demands: dict[str, Demand]) -> None:
    """All slots are given away that somebody wants, and no run that wants more has much less for its weight."""
    shares = share_slots(total, demands)
    assert sum(shares.values()) == min(total, sum(demand.wants for demand in demands.values()))
    assert all(0 <= shares[name] <= demand.wants for name, demand in demands.items())
    for name, demand in demands.items():
        if shares[name] < demand.wants:  # nobody else had a slot that was this one's by weight
            for other, its in demands.items():
                assert shares[other] <= 1 or shares[other] / its.weight <= (shares[name] + 1) / demand.weight
