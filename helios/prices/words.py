"""Amounts of money in words for people."""

from math import floor, log10

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
