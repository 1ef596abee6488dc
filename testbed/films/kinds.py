"""All kinds of bad output that the bench makes, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np

from testbed.films import bad_pictures as bad
from testbed.films import bad_sound
from testbed.films.bad_files import flip_bit, truncate
from testbed.films.bad_pictures import MakePictures, Scene
from testbed.films.bad_sound import MakeSound
from testbed.films.text import Face
from testbed.moving_pictures import Look

CODECS = {"H.264": "libx264", "H.265": "libx265", "VP9": "libvpx-vp9", "AV1": "libsvtav1", "ProRes": "prores_ks"}
"""Encoders by the names of what they write."""


@dataclass(frozen=True)
class Bad:
    """A kind of bad output."""

    is_certain: bool = False
    """Whether it is to be caught always."""
    pictures: MakePictures | None = None
    """Makes the chunk's pictures."""
    sound: MakeSound | None = None
    """Makes the chunk's sound."""
    look: Callable[[Look], Look] | None = None
    """How the chunk is encoded instead."""
    damage: Callable[[Path, Random], None] | None = None
    """Done to the finished file."""
    codec: str | None = None
    """The one encoder that it is for."""
    needs_text: bool = False
    """Whether it is for films with text alone."""


FILES: Mapping[str, Bad] = {
    **{f"one bit flipped, {name}": Bad(damage=flip_bit, codec=codec) for name, codec in CODECS.items()},
    "cut inside the last frame": Bad(is_certain=True, damage=truncate),
    "a frame is missing": Bad(is_certain=True, pictures=lambda scene: scene.right[:-1]),
    "another size": Bad(is_certain=True, look=lambda look: replace(look, size=(look.size[0] // 4 * 2, look.size[1]))),
    "another frame rate": Bad(is_certain=True, look=lambda look: replace(look, fps=look.fps + 1)),
}
"""Damage, and files that are not what was ordered."""
ORDER: Mapping[str, Bad] = {
    "one frame early": Bad(is_certain=True, pictures=lambda scene: scene.from_frame(scene.first - 1)),
    "one frame late": Bad(is_certain=True, pictures=lambda scene: scene.from_frame(scene.first + 1)),
    "restarts at frame 0": Bad(is_certain=True, pictures=lambda scene: scene.from_frame(0)),
    "another chunk of the job": Bad(
        is_certain=True,
        pictures=lambda scene: scene.from_frame(scene.film.starts[scene.position - 1]),
    ),
    "a chunk of another job": Bad(pictures=bad.foreign),
    "seven frames late": Bad(pictures=lambda scene: scene.from_frame(scene.first + 7)),
    "first frame repeated, last missing": Bad(pictures=bad.first_repeated),
    "a frame dropped, another doubled": Bad(pictures=bad.dropped_and_doubled),
    "two frames exchanged": Bad(pictures=bad.swapped),
    "frames in reverse": Bad(pictures=lambda scene: scene.right[::-1]),
    "frozen for 10 to 20 frames": Bad(pictures=bad.frozen),
    "frozen throughout": Bad(pictures=lambda scene: scene.right[:1] * scene.count),
}
"""Right frames in the wrong place."""
FRAMES: Mapping[str, Bad] = {
    "a black chunk": Bad(pictures=bad.changed(np.zeros_like)),
    "black for 3 to 12 frames": Bad(pictures=bad.changed_inside(3, 12, np.zeros_like)),
    "one colour for 3 to 12 frames": Bad(pictures=bad.changed_inside(3, 12, bad.one_colour)),
    "a flash": Bad(pictures=bad.changed_inside(1, 1, lambda picture: picture * 0.5 + 120)),
    "a frame upside down": Bad(pictures=bad.changed_inside(1, 1, lambda picture: picture[::-1])),
    "a frame from elsewhere": Bad(pictures=bad.another_frame),
    "brighter by 3 levels": Bad(pictures=bad.changed(lambda picture: picture + 3)),
    "gamma 0.9": Bad(pictures=bad.changed(bad.gamma)),
    "limited instead of full range": Bad(pictures=bad.changed(bad.limited)),
    "dimmed by 30 %": Bad(pictures=bad.changed(lambda picture: picture * 0.7)),
    "red and blue exchanged": Bad(pictures=bad.changed(lambda picture: picture[:, :, ::-1])),
}
"""Frames that are wrong as a whole."""
PARTS: Mapping[str, Bad] = {
    "text in another font": Bad(pictures=bad.other_font(Face.OTHER), needs_text=True),
    "text as boxes": Bad(pictures=bad.other_font(Face.BOXES), needs_text=True),
    "text is missing": Bad(pictures=bad.other_font(Face.NONE), needs_text=True),
    "an image is missing": Bad(pictures=bad.missing_image),
    "a strip stands still for 4 to 15 frames": Bad(pictures=bad.stale_strip),
    "a strip is 1 to 4 frames late": Bad(pictures=bad.late_strip),
    "a strip stands still in one frame": Bad(pictures=bad.strip_once),
}
"""Frames that are wrong in a part."""
SOUND: Mapping[str, Bad] = {
    "sound of another job": Bad(sound=bad_sound.foreign_sound),
    "sound of another chunk": Bad(sound=bad_sound.another_chunk),
    "silent": Bad(sound=bad_sound.silent),
    "sound 50 ms early": Bad(sound=bad_sound.early),
    "sound 50 ms late": Bad(sound=bad_sound.late),
    "50 ms of silence first": Bad(sound=bad_sound.padded),
    "sound half as loud again": Bad(sound=bad_sound.louder),
    "sound 100 ms too short": Bad(sound=bad_sound.short),
}
"""Wrong sound."""
KINDS: Mapping[str, Bad] = {**FILES, **ORDER, **FRAMES, **PARTS, **SOUND}

__all__ = ["FILES", "FRAMES", "KINDS", "ORDER", "PARTS", "SOUND", "Bad", "Scene"]
