"""What a request says of money and time, checked before anything runs."""

from datetime import datetime
from typing import Any

from adapters import settings_of
from helios.errors import RequestError
from helios.models.deadline import parse_deadline
from helios.prices.book import load_prices, own_file, usual_file
from helios.variables import PRICES
from tasks.request.block_names import names_block
from tasks.request.places import read_places

AFTER_BUDGET = ("finish", "stop")
"""What becomes of chunks in flight when the budget is spent."""


def check_money(request: Any) -> None:
    """Refuse prices that can't be read, a budget that can't work, and a deadline that is no time.

    Args:
        request: A `RenderRequest`.

    Raises:
        RequestError: Says what was expected.
    """
    prices = load_prices(own_file())
    if request.budget_stop not in AFTER_BUDGET:
        known = " or ".join(AFTER_BUDGET)
        raise RequestError(f"What is in flight can't be {request.budget_stop!r} (--budget-stop); expected {known}")
    if request.deadline is not None:
        parse_deadline(request.deadline, datetime.now().astimezone())
    places = read_places(request.adapter)
    if request.budget is None or any(names_block(place.adapter) or place.cost_per_hour > 0 for place in places):
        return
    names = [str(settings_of(place.adapter).get("type")) for place in places]
    if all(prices.of(name).is_free for name in names):
        raise RequestError(
            f"A budget of {request.budget:g} {prices.currency} was given (--budget), but the workers of "
            f"{' and '.join(names)} cost nothing; give them a price, such as hour = 0.10 below [adapters.{names[0]}] "
            f"in {usual_file()} (or the file that {PRICES} names), or leave the budget out"
        )
