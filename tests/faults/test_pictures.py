"""The bad-picture bench: a good film passes, its bad chunks are noticed, and its table counts them."""

from pathlib import Path

import pytest

from faults.pictures.noticeable import shows
from faults.pictures.table import describe, make_table
from faults.pictures.trial import Case, Caught, Trial
from testbed.films.drawn import draw_film
from testbed.films.kinds import KINDS

FAILED, WARNED, CONTAINER = Caught.FAILED, Caught.WARNED, Caught.CONTAINER
CAUGHT = {
    "cut inside the last frame": (CONTAINER, None),
    "one frame early": (FAILED, "repeat"),
    "restarts at frame 0": (FAILED, "restart"),
    "a frame dropped, another doubled": (WARNED, "stutter"),
    "a strip stands still in one frame": (WARNED, "strip"),
    "an image is missing": (WARNED, "part"),
    "sound 50 ms early": (WARNED, "sound"),
    "silent": (WARNED, "silence"),
}


def test_bad_chunks_of_a_film_are_noticed(tmp_path: Path) -> None:
    """In a steady film each of these is caught at its level, and named as what it is."""
    trial = Trial(draw_film(5024), tmp_path)
    cases = [trial.good()]
    assert cases[0].findings == ()
    for kind, (caught, word) in CAUGHT.items():
        case = trial.bad(kind)
        assert case is not None
        cases.append(case)
        assert case.caught is caught, describe(case)
        assert word is None or word in {found.kind for found in case.findings}
    table = make_table(cases)
    assert "| one frame early ✱ | 1 | 1 |  |  | 1 |  | 100 % | 1 |" in table
    assert "| **all others** | 5 | 5 |  |  |  | 5 | 100 % | 5 |" in table
    assert "1 good films: 0 failed, 0 warned of (0.0 %)." in table


def test_what_nobody_sees_is_no_fault(tmp_path: Path) -> None:
    """A fault that changes nothing is left out: text in a film without text."""
    trial = Trial(draw_film(5024), tmp_path)
    trial.good()
    assert trial.bad("text as boxes") is None


def test_what_the_film_does_itself_does_not_show(tmp_path: Path) -> None:
    """A repeated frame shows where motion is even, and not where each picture is there twice."""
    even, twice = (
        draw_film(5024).chunks(),
        [[picture for picture in chunk for _ in (1, 2)] for chunk in draw_film(5024).chunks()],
    )
    for film, does_show in ((even, True), (twice, False)):
        assert shows(film, 1, [film[1][0], *film[1][:-1]]) is does_show
        assert not shows(film, 1, film[1])


def test_a_film_follows_from_its_number(tmp_path: Path) -> None:
    """The same number draws the same film, and the same bad chunks, whatever else was made before."""

    def told(*kinds: str) -> list[str]:
        trial = Trial(draw_film(5024), tmp_path)
        trial.good()
        found: list[Case | None] = [trial.bad(kind) for kind in kinds]
        return [describe(case) for case in found if case is not None]

    assert told("a flash", "gamma 0.9")[1:] == told("gamma 0.9")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5000, 5024))
def test_good_films_never_fail(tmp_path: Path, number: int) -> None:
    """Films of all kinds pass, and what is no file as ordered is refused, whatever the film."""
    trial = Trial(draw_film(number), tmp_path)
    assert trial.good().caught is not Caught.FAILED
    for kind in ("cut inside the last frame", "a frame is missing", "another size", "another frame rate"):
        assert KINDS[kind].is_certain
        case = trial.bad(kind)
        assert case is not None
        assert case.caught is Caught.CONTAINER
