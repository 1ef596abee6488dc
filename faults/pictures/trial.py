"""One film of the bench: its good chunks, and bad ones put in their place one at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from random import Random

import av
import numpy as np

from faults.pictures.noticeable import changes, is_audible, shows
from helios.errors import OutputError
from helios.media.accepted_file import StitchInput
from helios.media.comparison import compare_outputs
from helios.media.job_pictures import JobPictures
from helios.media.seams import Piece
from helios.media.verify import VerifiedOutput, verify_output
from helios.models.pictures import PictureFinding
from helios.models.verification import VerifyLevel
from tasks.request.audit_order import LEAST_PSNR
from testbed.films.bad_pictures import Scene
from testbed.films.drawn import DrawnFilm
from testbed.films.kinds import FILES, KINDS, SOUND, Bad
from testbed.moving_pictures import Look, Picture, Samples, to_bytes, write_pictures

PER_FILM = 5
"""Kinds made in a film, without those of its file and its sound."""
SOUNDS_PER_FILM = 2
FLIPS_PER_FILM = 2


class Caught(StrEnum):
    """What became of a bad chunk."""

    CONTAINER = "container"
    """Refused without decoding."""
    DECODE = "decode"
    """Refused when decoded."""
    FAILED = "failed"
    """Refused because of its pictures beside those of other chunks."""
    WARNED = "warned"
    """Accepted with a warning."""
    MISSED = "missed"
    """Accepted without a word."""


@dataclass(frozen=True)
class Case:
    """A bad chunk in a film, or the good film."""

    kind: str
    """Of bad output; empty for the good film."""
    film: DrawnFilm
    position: int
    """Of the bad chunk."""
    caught: Caught
    findings: tuple[PictureFinding, ...] = ()
    """What was said."""
    does_show: bool = True
    """Whether people who do not know the right film can tell that something is wrong."""
    is_audited: bool = False
    """Whether an audit that draws the chunk finds it."""


class Trial:
    """Films as files.

    Args:
        film: The film.
        folder: For its chunks.
        kinds: Names of the kinds of bad output that are wanted.
        level: How thoroughly outputs are verified.
    """

    def __init__(self, film: DrawnFilm, folder: Path, *, kinds: Sequence[str] = tuple(KINDS)) -> None:
        self.film = film
        self._folder = folder
        self._kinds = kinds
        self._dice = Random(f"kinds {film.seed}")  # noqa: S311  not for secrets
        self._samples = film.samples()
        self._right = film.chunks()
        self._good: list[VerifiedOutput] = []
        self._usual: set[object] = set()
        """What is said of the good film."""
        self._does_show = True
        """Of the bad chunk that was made last."""

    def cases(self) -> Iterator[Case]:
        """The good film first, then its bad ones."""
        yield self.good()
        for number, kind in enumerate(self._drawn_kinds()):
            if (case := self.bad(kind, number)) is not None:
                yield case

    def good(self) -> Case:
        """Make and verify the good film."""
        for position, pictures in enumerate(self._right):
            path = self._write(f"good-{position}", pictures, self.film.look, self._sound_of(position))
            self._good.append(self._verify(path, position))
        failures, warnings = judge(self._pieces())
        self._usual = set(_places((*failures, *warnings)))
        caught = Caught.FAILED if failures else Caught.WARNED if warnings else Caught.MISSED
        return Case("", self.film, 0, caught, (*failures, *warnings))

    def bad(self, kind: str, number: int = 0) -> Case | None:
        """Put a bad chunk in a good one's place.

        Args:
            kind: Of bad output.
            number: Another one for each number.

        Returns:
            None if nobody could tell it from the good one.
        """
        self._dice = Random(f"{kind} {number} {self.film.seed}")  # noqa: S311  not for secrets
        position = self._dice.randrange(1, len(self._right) - 1)
        path = self._make(KINDS[kind], position)
        if path is None:
            return None
        case = self._judged(kind, position, path)
        return replace(case, does_show=self._does_show, is_audited=self._is_audited(path, position))

    def _drawn_kinds(self) -> list[str]:
        files = [name for name in FILES if KINDS[name].codec == self.film.look.codec] * FLIPS_PER_FILM
        sounds = list(SOUND) if self.film.sound else []
        texts = [name for name in KINDS if KINDS[name].needs_text and self.film.faced]
        rest = [name for name in KINDS if name not in SOUND and not KINDS[name].codec and not KINDS[name].needs_text]
        for names in (sounds, texts, rest):
            self._dice.shuffle(names)
        drawn = [*files, *texts[:1], *rest[:PER_FILM], *sounds[:SOUNDS_PER_FILM]]
        return [name for name in drawn if name in self._kinds]

    def _make(self, bad: Bad, position: int) -> Path | None:
        """A bad chunk's file; None if nobody could tell it from the good one."""
        scene = Scene(self.film, position, self._right[position], self._dice)
        pictures = bad.pictures(scene) if bad.pictures else scene.right
        right = samples = self._sound_of(position)
        if bad.sound and self._samples is not None:
            first = self.film.sample_at(scene.first)
            samples = bad.sound(scene, self._samples, first, self.film.sample_at(scene.first + scene.count))
            if right is None or not is_audible(right, samples):
                return None
        if bad.pictures and not changes(scene.right, pictures):
            return None
        self._does_show = bad.pictures is None or shows(self._right, position, pictures)
        look = bad.look(self.film.look) if bad.look else self.film.look
        path = self._write("bad", pictures, look, samples)
        if bad.damage:
            before = _decoded(path) if bad.codec else []
            bad.damage(path, self._dice)
            if bad.codec and len(after := _decoded(path)) == len(before) and not changes(before, after):
                return None
        return path

    def _judged(self, name: str, position: int, path: Path) -> Case:
        try:
            output = self._verify(path, position)
            output.check_sibling(self._good[0], name="this", other_name="the first")
        except OutputError:
            return Case(name, self.film, position, self._level_of(path, position))
        failures, warnings = judge(self._pieces({position: output}))
        near = {position, position + 1}
        said = [found for found in (*failures, *warnings)
                if found.chunk_id in near and not self._usual & set(_places([found]))]  # fmt: skip
        caught = Caught.MISSED
        if said:
            caught = Caught.FAILED if any(found.is_certain for found in said) else Caught.WARNED
        return Case(name, self.film, position, caught, tuple(said))

    def _is_audited(self, path: Path, position: int) -> bool:
        """Whether the right chunk, rendered a second time, would be found to differ."""
        good = StitchInput(self._good_file(position), self.film.sizes[position], "the second render")
        try:
            return compare_outputs(good, path, fps=Fraction(self.film.look.fps), least_psnr=LEAST_PSNR).is_different
        except OutputError:
            return True

    def _good_file(self, position: int) -> Path:
        return self._folder / f"good-{position}.{self.film.look.container}"

    def _level_of(self, path: Path, position: int) -> Caught:
        try:
            output = self._verify(path, position, level=VerifyLevel.CONTAINER)
            output.check_sibling(self._good[0], name="this", other_name="the first")
        except OutputError:
            return Caught.CONTAINER
        return Caught.DECODE

    def _verify(self, path: Path, position: int, *, level: VerifyLevel = VerifyLevel.PICTURES) -> VerifiedOutput:
        look = self.film.look
        return verify_output(
            path,
            frames=self.film.sizes[position],
            fps=Fraction(look.fps),
            width=look.size[0],
            height=look.size[1],
            level=level,
        )

    def _write(self, name: str, pictures: Sequence[Picture], look: Look, samples: Samples | None) -> Path:
        return write_pictures(self._folder / f"{name}.{look.container}", pictures, look, samples=samples)

    def _sound_of(self, position: int) -> Samples | None:
        if self._samples is None:
            return None
        first = self.film.starts[position]
        return self._samples[self.film.sample_at(first) : self.film.sample_at(first + self.film.sizes[position])]

    def _pieces(self, instead: dict[int, VerifiedOutput] | None = None) -> list[Piece]:
        outputs = [(instead or {}).get(position, output) for position, output in enumerate(self._good)]
        return [
            Piece(position, start, size, output.pictures)
            for position, (start, size, output) in enumerate(
                zip(self.film.starts, self.film.sizes, outputs, strict=True)
            )
            if output.pictures is not None
        ]


def judge(pieces: Sequence[Piece]) -> tuple[list[PictureFinding], list[PictureFinding]]:
    """What fails in a job's chunks, and what is warned of."""
    job = JobPictures()
    failures = [found for found in map(job.add, pieces) if found is not None]
    return failures, list(job.warnings())


def _places(findings: Sequence[PictureFinding]) -> list[object]:
    return [(found.kind, found.frame) for found in findings]


def _decoded(path: Path) -> list[Picture]:
    """A file's brightness as any player shows it, damaged or not."""
    try:
        with av.open(str(path)) as media:
            media.streams.video[0].codec_context.thread_count = 1
            found: list[Picture] = []
            for packet in media.demux(media.streams.video[0]):
                try:
                    found += [to_bytes(np.asarray(frame.to_ndarray(format="gray"))) for frame in packet.decode()]
                except av.FFmpegError:
                    return []
            return found
    except av.FFmpegError:
        return []
