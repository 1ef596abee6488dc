"""How pictures are encoded: what the options of `helios-job encode` say, as words of a chunk's command."""

from dataclasses import dataclass
from typing import Self

from helios.encode.codecs import CODECS, EncodeCodec, known_codec
from helios.encode.filters import parse_chain
from helios.encode.target import Target
from helios.errors import RequestError

DEINTERLACERS = frozenset({"yadif", "bwdif", "w3fdif", "estdif", "kerndeint"})
"""Filters after which pictures are whole ones."""

ALONE = frozenset({"scale", "format", "setparams", "crop", "pad", "lut3d"})
"""Filters that look at each picture alone."""
QUANTISERS = frozenset({"crf", "qp", "cq-level"})
"""Names of encoders' own settings that say how good pictures are."""


@dataclass(frozen=True)
class Recipe:
    """Settings of the encoder, the same for each chunk."""

    codec: str = "svt-av1"
    """One of `helios.encode.codecs.CODECS`."""
    crf: str | None = None
    """Constant quality, on the codec's own scale; the encoder's default when None."""
    preset: str | None = None
    """The encoder's preset; its default when None."""
    pix_fmt: str | None = None
    """FFmpeg's name of the pixel format; the source's, or the nearest that the codec takes, when None."""
    params: str | None = None
    """The encoder's own settings, `name=value:name=value`."""
    vf: str | None = None
    """A chain of FFmpeg's filters, which gives one picture for each."""
    target: str | None = None
    """The quality that each chunk's quantiser is chosen by, as `helios.encode.target` reads it."""
    threads: int = 0
    """Of the encoder, for a chunk; 0 for its own choice."""

    def check(self) -> None:
        """Refuse settings that no picture can be encoded with.

        Raises:
            RequestError: Says what was expected.
        """
        codec = known_codec(self.codec)
        for option, value, there in (
            ("--crf", self.crf, codec.crf), ("--preset", self.preset, codec.preset),
        ):  # fmt: skip
            if value is not None and there is None:
                raise RequestError(f"{self.codec} has no {option[2:]} ({option} {value}); leave it out")
        for name, value in _pairs(self.params):
            if not name or not value:
                raise RequestError(f"--params {self.params!r}: expected name=value:name=value")
        if self.vf is not None:
            parse_chain(self.vf)
        if self.target is not None:
            Target.parse(self.target)
            self._check_free()
        self._check_broken()

    def _check_free(self) -> None:
        """Refuse a target where there is no quantiser to choose by it."""
        if self.how.scale is None:
            raise RequestError(f"--target {self.target}: {self.codec} has no quantiser to choose; leave it out")
        own = {name for name, _ in _pairs(self.params)} & QUANTISERS
        if self.crf is not None or own:
            said = f"--crf {self.crf}" if self.crf is not None else f"{min(own)} in --params"
            raise RequestError(f"--target {self.target}: {said} says the quantiser already; leave one of them out")

    def _check_broken(self) -> None:
        """Refuse a quantiser with which the encoder writes files that can't be decoded."""
        crf, least = dict(_pairs(self.params)).get("crf", self.crf), self._least
        if least is not None and crf is not None and _number(crf, least) < least:
            preset = self.how.broken[0] if self.how.broken else 0
            raise RequestError(
                f"{self.how.encoder} writes files that can't be decoded with preset {preset} or faster and a quantiser "
                f"below {least} (--crf {crf}); expected --crf {least} or more, or --preset {preset - 1}"
            )

    @property
    def _least(self) -> int | None:
        """The smallest quantiser at which the encoder is whole; None for all."""
        preset = dict(_pairs(self.params)).get("preset", self.preset)
        if self.how.broken is None or preset is None or _number(preset, 0) < self.how.broken[0]:
            return None
        return self.how.broken[1]

    @property
    def quantisers(self) -> tuple[int, int] | None:
        """The best and the worst one that a target chooses from; None where the codec has none."""
        if self.how.scale is None:
            return None
        return max(self.how.scale[0], self._least or 0), self.how.scale[1]

    @property
    def how(self) -> EncodeCodec:
        """The codec."""
        return CODECS[self.codec]

    @property
    def deinterlaces(self) -> bool:
        """Whether the filters make whole pictures of fields."""
        return any(name in DEINTERLACERS for name, _ in parse_chain(self.vf)) if self.vf else False

    @property
    def looks_around(self) -> bool:
        """Whether the filters may look at a picture's neighbours."""
        return any(name not in ALONE for name, _ in parse_chain(self.vf)) if self.vf else False

    @property
    def keeps_fields(self) -> bool:
        """Whether interlaced pictures stay so."""
        return self.how.takes_fields and not self.deinterlaces

    def options(self, *, own: dict[str, str] | None = None, pixel_format: str) -> dict[str, str]:
        """FFmpeg's options for the encoder.

        Args:
            own: The encoder's own settings that the pictures call for; what `params` says wins.
            pixel_format: Of the pictures.
        """
        codec, found = self.how, dict(self.how.options) | dict(self.how.options_for.get(pixel_format, {}))
        mixed = codec.own_where_mixed if self.target is not None else {}
        settings = {**codec.own, **mixed, **(own or {}), **dict(_pairs(self.params))}
        if codec.params is None:
            found |= settings
        elif settings:
            found[codec.params] = ":".join(f"{name}={value}" for name, value in settings.items())
        if self.crf is not None and codec.crf is not None:
            found[codec.crf] = self.crf
        if self.preset is not None and codec.preset is not None:
            found[codec.preset] = self.preset
        return found

    def words(self) -> list[str]:
        """The recipe as words of a command; `from_words` is the inverse."""
        names = ("codec", "crf", "preset", "pix_fmt", "params", "vf", "target", "threads")
        values = {name: getattr(self, name) for name in names}
        return [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value not in (None, 0)]

    @classmethod
    def from_words(cls, values: dict[str, object]) -> Self:
        """Make it of the values that a command line has."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})  # type: ignore[arg-type]


def _pairs(params: str | None) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (one.partition("=") for one in (params or "").split(":") if one)]


def _number(text: str, otherwise: float) -> float:
    try:
        return float(text)
    except ValueError:
        return otherwise  # the encoder itself says what it expects
