"""How a video is encoded from images, as a document states it. Names and scales are the encoders' own."""

from typing import Annotated

from pydantic import Field, field_validator

from helios.models.base import WireModel

CODECS = ("x264", "x265", "vp9", "prores", "ffv1")
"""What `codec` may be."""
Setting = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[\w.-]+$")]


class ImageEncoding(WireModel):
    """How each chunk's images are encoded."""

    codec: str | None = None
    """One of `CODECS`; when empty x264, and vp9 for a .webm, and ffv1 for a .gif or .webp."""
    crf: Setting | None = None
    """Constant quality, on the encoder's own scale; the encoder's default when empty."""
    preset: Setting | None = None
    """The encoder's preset (of prores its profile); its default when empty."""
    pix_fmt: Setting | None = None
    """FFmpeg's name of the pixel format: yuv420p when empty, yuv422p10le for prores, and RGB of the images' depth for
    ffv1."""

    @field_validator("codec")
    @classmethod
    def _known(cls, codec: str | None) -> str | None:
        if codec is not None and codec not in CODECS:
            raise ValueError(f"one of {', '.join(CODECS)}")
        return codec
