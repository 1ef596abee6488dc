"""Which chunks an audit draws."""

import pytest

from tasks.run.audits import draw


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.0001, 1), (0.02, 2), (0.5, 50), (1, 100)])
def test_a_share_of_the_chunks_is_drawn(share: float, count: int) -> None:
    """At least one chunk above 0, all at 1."""
    assert len(draw(range(100), share=share, seed=1, job="a film")) == count


def test_the_draw_is_that_of_its_seed_and_its_job() -> None:
    """The same seed, job and chunks draw the same, whatever the order; a larger share has the smaller one in it."""
    drawn = draw(range(100), share=0.1, seed=1, job="a film")
    assert draw(reversed(range(100)), share=0.1, seed=1, job="a film") == drawn
    assert drawn < draw(range(100), share=0.2, seed=1, job="a film")
    assert draw(range(100), share=0.1, seed=2, job="a film") != drawn
    assert draw(range(100), share=0.1, seed=1, job="another film") != drawn
