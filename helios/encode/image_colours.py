"""How images become a video's pictures: RGB as displays show it becomes BT.709 in the limited range, and says so."""

from dataclasses import replace

import av

from helios.encode.codecs import chosen_format
from helios.encode.recipe import Recipe

USUAL = {"x264": "yuv420p", "prores": "yuv422p10le"}
"""Pixel formats of codecs that most players show, whatever the images have."""
WITH_DEPTH = {"x265", "svt-av1", "aom-av1", "vp9"}
"""Codecs whose pictures of ten bits most players show."""
FLOATS = {"gbrpf32le": "gbrp16le", "gbrapf32le": "gbrap16le", "grayf32le": "gray16le", "gbrpf16le": "gbrp16le",
          "gbrapf16le": "gbrap16le", "grayf16le": "gray16le"}  # fmt: skip
"""Pixel formats of EXR, and what has as much of what is shown."""
TAGS = "color_primaries=bt709:color_trc=bt709"


def pixel_format(recipe: Recipe, source: str) -> str:
    """The pixel format of the video, where none was asked for.

    Args:
        recipe: How it is encoded.
        source: The images' own.

    Raises:
        RequestError: The codec can't keep their transparency, and it was not said to leave it out.
    """
    # FFV1's pictures of floating point are an experiment of FFmpeg's, which it refuses.
    source = FLOATS.get(source, source)
    nearest = chosen_format(recipe.how, recipe.pix_fmt, source)
    own = av.VideoFormat(source)
    if recipe.pix_fmt is not None or any(component.is_alpha for component in own.components):
        return nearest
    is_deep = own.components[0].bits > 8
    if recipe.codec in WITH_DEPTH:
        return "yuv420p10le" if is_deep and "yuv420p10le" in recipe.how.formats else "yuv420p"
    return USUAL.get(recipe.codec, nearest)


def for_display(recipe: Recipe, *, source: str) -> Recipe:
    """The recipe with the filters that convert images, behind those that were asked for.

    JPEG, and what else has no RGB, is of BT.601 in the full range (JFIF).

    Args:
        recipe: How it is encoded.
        source: The images' pixel format.
    """
    form, own = pixel_format(recipe, source), av.VideoFormat(source)
    if av.VideoFormat(form).is_rgb:
        convert = f"format={form},setparams={TAGS}"
    else:
        taken = "" if own.is_rgb else "in_color_matrix=bt601:in_range=full:"
        convert = (
            f"scale={taken}out_color_matrix=bt709:out_range=limited,format={form},"
            f"setparams=range=limited:colorspace=bt709:{TAGS}"
        )
    return replace(recipe, pix_fmt=form, vf=f"{recipe.vf},{convert}" if recipe.vf else convert)


def colours_after(recipe: Recipe) -> str:
    """What becomes of images' colours, for people."""
    is_rgb = recipe.pix_fmt is not None and av.VideoFormat(recipe.pix_fmt).is_rgb
    return "RGB, primaries and transfer bt709" if is_rgb else "converted: bt709, limited range"
