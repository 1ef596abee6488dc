"""What a run's priority is, and how it is said."""

import pytest

from helios.errors import RequestError
from tasks.run.priority import parse_priority, weight_of, with_priority


@pytest.mark.parametrize(
    ("text", "weight"), [("urgent", 16), ("default", 4), (" Background ", 1), ("1", 1), ("1000", 1000), ("07", 7)]
)
def test_a_priority_stands_for_a_weight(text: str, weight: int) -> None:
    """Names of queues, and numbers."""
    assert parse_priority(text) == weight


@pytest.mark.parametrize("text", ["", "high", "0", "1001", "-1", "1.5", "²", "9" * 30])
def test_what_is_no_priority(text: str) -> None:
    """Anything else is refused, with what was expected."""
    with pytest.raises(RequestError, match="expected urgent, default, background, or a weight from 1 to 1000"):
        parse_priority(text)


def test_the_tag_wins_over_the_queue() -> None:
    """A run has the weight of its tag, else of its queue; tags of other kinds and unsound ones are left alone."""
    assert weight_of([], queue=None) == weight_of(["film"], queue="other") == 4
    assert weight_of(["film"], queue="urgent") == 16
    assert weight_of(["film", "priority:background"], queue="urgent") == 1
    assert weight_of(["priority:whatever"], queue="urgent") == 16
    assert with_priority(["film", "priority:urgent"], "30") == ["film", "priority:30"]
