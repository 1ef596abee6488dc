"""Ways in which a broken renderer shows wrong pictures: each makes the pictures of one chunk anew."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np

from testbed.films.drawn import DrawnFilm, draw_film
from testbed.films.text import Face
from testbed.moving_pictures import Picture, to_bytes


@dataclass(frozen=True)
class Scene:
    """A chunk that is to go bad."""

    film: DrawnFilm
    position: int
    """Of the chunk."""
    right: list[Picture]
    """Its right pictures."""
    dice: Random

    @property
    def first(self) -> int:
        """Its first frame."""
        return self.film.starts[self.position]

    @property
    def count(self) -> int:
        """How many frames it has."""
        return self.film.sizes[self.position]

    def from_frame(self, first: int) -> list[Picture]:
        """As many pictures, from another frame on."""
        return self.film.pictures(first, self.count)

    def some(self, least: int, most: int) -> range:
        """Some frames inside the chunk, neither its first nor its last two."""
        length = self.dice.randint(least, most)
        begin = self.dice.randint(2, max(2, self.count - 2 - length))
        return range(begin, min(begin + length, self.count - 2))


MakePictures = Callable[[Scene], list[Picture]]


def foreign(scene: Scene) -> list[Picture]:
    """The pictures of another film."""
    other = draw_film(scene.film.seed + 100_000 + scene.dice.randrange(1000))
    return other.pictures(other.starts[1], scene.count)


def first_repeated(scene: Scene) -> list[Picture]:
    """The first frame twice; the last is missing."""
    return [scene.right[0], *scene.right[:-1]]


def dropped_and_doubled(scene: Scene) -> list[Picture]:
    """A frame inside is missing, another is there twice."""
    inside = range(2, scene.count - 2)
    dropped, doubled = scene.dice.sample(inside, 2)
    order = [n for n in range(scene.count) for _ in range(1 + (n == doubled)) if n != dropped]
    return [scene.right[n] for n in order]


def swapped(scene: Scene) -> list[Picture]:
    """Two neighbours are exchanged."""
    n = scene.dice.randrange(2, scene.count - 3)
    return [*scene.right[:n], scene.right[n + 1], scene.right[n], *scene.right[n + 2 :]]


def frozen(scene: Scene) -> list[Picture]:
    """From some frame on, for a while, nothing moves."""
    still = scene.some(10, 20)
    return [scene.right[still[0] if n in still else n] for n in range(scene.count)]


def another_frame(scene: Scene) -> list[Picture]:
    """One frame is that of another place in the film."""
    n = scene.some(1, 1)[0]
    far = scene.first + n + scene.dice.choice([-1, 1]) * scene.dice.randint(15, 40)
    return [*scene.right[:n], to_bytes(scene.film.paint(far)), *scene.right[n + 1 :]]


def stale_strip(scene: Scene) -> list[Picture]:
    """For a while, a strip shows what it showed when that began."""
    return _strip(scene, scene.some(4, 15), lambda _n, begin: begin)


def late_strip(scene: Scene) -> list[Picture]:
    """A strip is some frames late in the whole chunk."""
    lag = scene.dice.randint(1, 4)
    return _strip(scene, range(scene.count), lambda n, _begin: n - lag)


def strip_once(scene: Scene) -> list[Picture]:
    """In one frame, a strip shows what it showed in the frame before."""
    return _strip(scene, scene.some(1, 1), lambda n, _begin: n - 1)


def _strip(scene: Scene, where: range, shown: Callable[[int, int], int]) -> list[Picture]:
    height = scene.right[0].shape[0]
    rows = scene.dice.randint(height // 5, height // 3)
    top = scene.dice.randint(0, height - rows)
    pictures = [np.array(picture) for picture in scene.right]
    for n in where:
        source = scene.film.paint(scene.first + shown(n, where[0]))
        pictures[n][top : top + rows] = to_bytes(source)[top : top + rows]
    return pictures


def other_font(face: Face) -> MakePictures:
    """The text in another font, or as boxes, or not at all."""

    def make(scene: Scene) -> list[Picture]:
        if scene.film.faced is None:
            return scene.right
        return [to_bytes(scene.film.faced(n, face)) for n in range(scene.first, scene.first + scene.count)]

    return make


def changed(change: Callable[[Picture], Picture]) -> MakePictures:
    """Each picture changed in the same way."""
    return lambda scene: [to_bytes(change(picture.astype(np.float32))) for picture in scene.right]


def changed_inside(least: int, most: int, change: Callable[[Picture], Picture]) -> MakePictures:
    """Some pictures inside changed in the same way."""

    def make(scene: Scene) -> list[Picture]:
        where = scene.some(least, most)
        return [
            to_bytes(change(picture.astype(np.float32))) if n in where else picture
            for n, picture in enumerate(scene.right)
        ]

    return make


def one_colour(picture: Picture) -> Picture:
    """A picture of one colour."""
    return np.ones_like(picture) * np.array((0, 140, 60), dtype=np.float32)


def gamma(picture: Picture) -> Picture:
    """A picture with another gamma."""
    return 255 * (picture / 255) ** 0.9


def limited(picture: Picture) -> Picture:
    """A picture of limited range that is shown as if it were of full range."""
    return picture * 219 / 255 + 16


def missing_image(scene: Scene) -> list[Picture]:
    """A part of the picture is white: an image that was not loaded."""
    height, width = scene.right[0].shape[:2]
    rows, columns = scene.dice.randint(height // 5, height // 2), scene.dice.randint(width // 6, width // 2)
    top, left = scene.dice.randint(0, height - rows), scene.dice.randint(0, width - columns)
    pictures = [np.array(picture) for picture in scene.right]
    for picture in pictures:
        picture[top : top + rows, left : left + columns] = 255
    return pictures
