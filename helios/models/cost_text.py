"""Amounts of money in words for people."""

from math import floor, log10

from helios.models.cost import CostReport

CENTS = 2
"""Decimals of an amount of at least one."""
DIGITS = 3
"""Digits that say something, of a smaller one."""


def money(amount: float, currency: str) -> str:
    """`12.50 USD`; of less than one, three digits that say something: `0.00123 USD`."""
    if amount == 0 or amount >= 1:
        return f"{amount:.{CENTS}f} {currency}"
    decimals = DIGITS - 1 - floor(log10(amount))
    return f"{amount:.{min(decimals, 12)}f} {currency}"


def describe_cost(cost: CostReport) -> str:
    """`Cost: 1.23 USD: 1.10 USD for accepted outputs, 0.130 USD for failed attempts; list prices of 2026-09-20`."""
    parts = {
        "accepted outputs": cost.accepted,
        "failed attempts": cost.failed,
        "attempts that another one has beaten": cost.hedges,
        "audits": cost.audits,
        "attempts that were stopped": cost.stopped,
    }
    shares = ", ".join(f"{money(amount, cost.currency)} for {name}" for name, amount in parts.items() if amount)
    of_budget = f" of a budget of {money(cost.budget, cost.currency)}" if cost.budget is not None else ""
    earlier = f" Earlier processes of the run spent {money(cost.earlier, cost.currency)} of it." if cost.earlier else ""
    what = f": {shares}" if shares else ""
    return f"Cost: {money(cost.total, cost.currency)}{of_budget}{what}; list prices of {cost.prices_of}.{earlier}"
