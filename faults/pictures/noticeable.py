"""What people can see or hear of a fault: what is no fault to them is no miss of the verification.

The rules know the right pictures, which neither people nor the verification do. They look at the pictures as they were
painted, before any encoder, and know nothing of how faults are found.

- A fault **changes** something: a frame differs from the right one by a level at least (root of the mean square), sound
  by 2 %. Else it is not counted at all.
- A fault **shows** if the film, without the right one beside it, has something that it has nowhere else: at some frame
  of the bad chunk, or at its ends, the part of the picture that the fault touches changes so far as it rightly does
  nowhere in the film, or so little. A chunk of another job in a film of cuts, a stutter in one that stutters, a freeze
  in one that pauses are films that could be meant so.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from testbed.moving_pictures import Picture, Samples

VISIBLE = 1.0
"""Levels. What changes no frame by so much (root of the mean square over the picture) is no fault: nobody sees it."""
AUDIBLE = 0.02
"""Likewise of sound: a share of the loudness of the chunk's right sound, or of full scale where that is silent."""
PLAIN = 2.55
"""Levels: a PSNR of 40 dB. Pictures and steps between them that are closer to the right ones are as good as these."""
LIKE = 1.5
"""A step is like another one if neither is more than so many times the other."""
STILL = 1.0
"""Levels. Steps below count as this: in them nothing is seen to move."""
LEAST_PARTS = 8
"""A fault that touches fewer parts of the picture, of 64 by 36, is not seen."""
ACROSS, DOWN = 64, 36
BRIGHTNESS = np.array((0.299, 0.587, 0.114), dtype=np.float32)
COLOURS = np.array(((-0.169, -0.331, 0.5), (0.5, -0.419, -0.081)), dtype=np.float32)

Parts = NDArray[np.float32]
"""Pictures as a viewer sees them at a glance, of 64 by 36 parts: shape (n, 36, 64, 3)."""


def changes(right: Sequence[Picture], wrong: Sequence[Picture]) -> bool:
    """Whether a fault changes pictures by so much that somebody might see it."""
    if len(right) != len(wrong):
        return True
    return any(
        float(np.sqrt(np.mean((one.astype(np.float32) - other) ** 2))) >= VISIBLE
        for one, other in zip(right, wrong, strict=True)
    )


def is_audible(right: Samples, wrong: Samples) -> bool:
    """Whether people would hear the difference."""
    if len(right) != len(wrong):
        return bool(np.any(right))
    loud = float(np.sqrt(np.mean((right / 32768) ** 2)))
    difference = float(np.sqrt(np.mean(((right.astype(np.float64) - wrong) / 32768) ** 2)))
    return difference >= AUDIBLE * (loud or 1.0)


def shows(film: Sequence[Sequence[Picture]], position: int, wrong: Sequence[Picture]) -> bool:
    """Whether a bad chunk gives a film something that it has nowhere else.

    Args:
        film: The right pictures of each chunk.
        position: Of the bad chunk.
        wrong: Its pictures.
    """
    if len(wrong) != len(film[position]):
        return True
    right = [in_parts(chunk) for chunk in film]
    good = np.concatenate(right)
    bad = np.concatenate([*right[:position], in_parts(wrong), *right[position + 1 :]])
    touched = np.any(_size(bad - good) >= PLAIN, axis=0)
    if touched.sum() < LEAST_PARTS:
        return False
    right_steps, wrong_steps = (np.diff(pictures[:, touched], axis=0) for pictures in (good, bad))
    is_other = _over_parts(_size(wrong_steps - right_steps)) >= PLAIN
    usual, found = (np.maximum(_measures(steps), STILL) for steps in (right_steps, wrong_steps))
    return any(
        not np.any((kind > step / LIKE) & (kind < step * LIKE))
        for kind, steps in zip(usual, found[:, is_other], strict=True)
        for step in steps
    )


def in_parts(pictures: Sequence[Picture]) -> Parts:
    """The mean colour of each part of pictures."""
    height, width = pictures[0].shape[:2]
    return np.array([
        picture.astype(np.float32).reshape(DOWN, height // DOWN, ACROSS, width // ACROSS, 3).mean((1, 3))
        for picture in pictures
    ])  # fmt: skip


def _measures(steps: Parts) -> Parts:
    """By how much each step changes: in all, and the mean of brightness and of colour."""
    means = steps.mean(1)
    return np.array([_over_parts(_size(steps)), np.abs(means @ BRIGHTNESS), np.abs(means @ COLOURS.T).max(1)])


def _size(differences: Parts) -> Parts:
    return np.asarray(np.sqrt((differences**2).mean(-1)))


def _over_parts(sizes: Parts) -> Parts:
    return np.asarray(np.sqrt((sizes**2).mean(-1)))
