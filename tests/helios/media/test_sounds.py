"""The sound of chunks goes on where they meet; silence, sound from elsewhere, and missing samples are noticed."""

from array import array
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from helios.media.job_pictures import JobPictures
from helios.media.seams import Piece
from helios.media.sound_continuity import sound_break
from helios.media.sounds import EDGE_SAMPLES, SoundTaker, unpack_samples
from helios.media.verify import verify_output
from helios.models.pictures import ChunkPictures, PictureFault, known_pictures
from helios.models.sound import ChunkSound
from helios.models.verification import VerifyLevel
from testbed.films.sound import drums, music, speech
from testbed.moving_pictures import SAMPLE_RATE, Samples, to_samples
from testbed.video import Clip, tone, write_clip
from tests.helios.media.test_fingerprints import taken

SECOND = SAMPLE_RATE


def heard(samples: Samples) -> ChunkSound:
    """What is kept of samples that come in pieces."""
    taker = SoundTaker(SAMPLE_RATE)
    for first in range(0, len(samples), 1000):
        taker.add(array("h", samples[first : first + 1000].tobytes()))
    return taker.result()


def said(parts: list[Samples]) -> set[tuple[PictureFault, int]]:
    """What is warned of in a job of chunks with still pictures and this sound."""
    pictures: ChunkPictures = taken([100.0] * 30)
    job = JobPictures()
    for number, part in enumerate(parts):
        piece = Piece(number, 30 * number, 30, pictures.model_copy(update={"sound": heard(part)}))
        assert job.add(piece) is None
    return {(found.kind, found.chunk_id) for found in job.warnings()}


def cut(samples: Samples) -> list[Samples]:
    """Pieces of a second."""
    return [samples[first : first + SECOND] for first in range(0, len(samples), SECOND)]


def test_the_ends_of_sound_are_kept() -> None:
    """The first and the last samples, the loudness and the silences at both ends are kept, and no more."""
    samples = np.concatenate([np.zeros(480, np.int16), tone(0, 4000, rate=SAMPLE_RATE)[0], np.zeros(96, np.int16)])
    kept = heard(samples)
    assert list(unpack_samples(kept.first)) == list(samples[:EDGE_SAMPLES])
    assert list(unpack_samples(kept.last)) == list(samples[-EDGE_SAMPLES:])
    assert kept.samples == 4576
    assert 480 <= kept.silent_first <= 482
    assert 96 <= kept.silent_last <= 98
    assert kept.loudness == pytest.approx(0.33, abs=0.01)
    assert len(kept.model_dump_json()) < 1600


def test_silence_and_no_sound_at_all() -> None:
    """A silent chunk is silent from its first sample to its last; sound of no samples is kept, too."""
    silent = heard(np.zeros(5000, np.int16))
    assert (silent.silent_first, silent.silent_last, silent.loudness) == (5000, 5000, 0)
    assert heard(np.zeros(0, np.int16)).samples == 0
    assert sound_break(silent, silent) == 0


def test_the_sound_of_a_file_is_taken_as_it_is_decoded(tmp_path: Path) -> None:
    """At the level `pictures`, uncompressed sound is listened to; compressed sound and other levels have none."""
    for codec, level, has in (
        ("pcm_s16le", VerifyLevel.PICTURES, True),
        ("aac", VerifyLevel.PICTURES, False),
        ("pcm_s16le", VerifyLevel.DECODE, False),
    ):
        clip = Clip(sample_rate=SAMPLE_RATE, audio_codec=codec)
        path = write_clip(tmp_path / "clip.mov", clip, start=0, count=12)
        found = verify_output(path, frames=12, fps=Fraction(30), width=64, height=64, level=level).pictures
        assert (found is not None and found.sound is not None) == has
        if found and found.sound:
            assert found.sound.samples == 12 * SAMPLE_RATE // 30
            assert list(unpack_samples(found.sound.first)) == list(tone(0, EDGE_SAMPLES, rate=SAMPLE_RATE)[0])


def test_sound_of_several_channels_is_mixed() -> None:
    """Frames of floating-point stereo become one channel of whole numbers."""
    frame = av.AudioFrame.from_ndarray(np.full((2, 512), 0.25, np.float32), format="fltp", layout="stereo")
    frame.sample_rate = SAMPLE_RATE
    taker = SoundTaker(SAMPLE_RATE)
    taker.take(frame)
    kept = taker.result()
    assert kept.samples == 512
    assert all(abs(sample - 8192) < 3000 for sample in unpack_samples(kept.first))


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_sound_that_goes_on_gets_no_word(seed: int) -> None:
    """Chunks of one sound follow each other without a warning."""
    for make in (music, speech, drums):
        assert said(cut(to_samples(make(seed)(5 * SECOND)))) == set()


@pytest.mark.parametrize("make", [music, speech])
def test_wrong_sound_in_one_chunk_is_a_warning(make: type) -> None:
    """Sound of another place, 50 ms late, silent, or too short is noticed, in the chunk that has it."""
    samples = to_samples(make(1)(6 * SECOND))
    shift = SECOND // 20
    for wrong, kind in (
        (to_samples(make(2)(6 * SECOND))[2 * SECOND : 3 * SECOND], PictureFault.SOUND),
        (samples[2 * SECOND - shift : 3 * SECOND - shift], PictureFault.SOUND),
        (np.zeros(SECOND, np.int16), PictureFault.SILENCE),
        (samples[2 * SECOND : 3 * SECOND - 2 * shift], PictureFault.SOUND_LENGTH),
    ):
        parts = cut(samples)
        parts[2] = wrong
        assert (kind, 2) in said(parts)


def test_sound_that_cannot_be_read_counts_as_none() -> None:
    """What a worker sent of its sound is refused as a whole if it is no whole number of samples."""
    pictures = taken([100.0] * 30).model_dump() | {"sound": heard(tone(0, 4000, rate=SAMPLE_RATE)[0]).model_dump()}
    assert known_pictures(pictures) is not None
    for broken in ("AA==", "A", "@@@@"):
        sound = pictures["sound"] | {"first": broken}
        assert known_pictures(pictures | {"sound": sound}) is None
