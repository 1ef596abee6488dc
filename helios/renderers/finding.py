"""Find a preset by name: those of this package, a person's own, those of installed packages."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from helios.errors import RequestError
from helios.renderers.preset import Preset, read_preset

GROUP = "helios.renderers"
"""Entry points: a name, and an object that is the path of a preset's file."""
SHIPPED = Path(__file__).with_name("presets")
"""The presets of this package."""


@dataclass(frozen=True)
class Found:
    """A preset, and where it comes from."""

    name: str
    """Its name."""
    folder: Path
    """The folder of its file."""
    preset: Preset
    """What it says."""


def own_folder() -> Path:
    """Where a person's own presets lie."""
    config = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(config) if config.startswith("/") else Path("~/.config").expanduser()
    return base / "helios-job" / "renderers"


def preset_names() -> list[str]:
    """Every name that `find_preset` knows."""
    return sorted({path.stem for path in _files()} | set(entry_points(group=GROUP).names))


def find_preset(name: str) -> Found:
    """The preset of a name: a person's own before this package's, and these before other packages'.

    A name with a slash, or that ends in `.toml`, is the path of a preset's file.

    Raises:
        RequestError: There is none, or its file is not a preset.
    """
    if "/" in name or name.endswith(".toml"):
        path = Path(name).expanduser().absolute()
        return Found(path.stem, path.parent, read_preset(path))
    if file := next((file for file in _files() if file.stem == name), None):
        return Found(name, file.parent, read_preset(file))
    if points := tuple(entry_points(group=GROUP, name=name)):
        loaded = _loaded(points[-1])
        return Found(name, loaded.parent, read_preset(loaded))
    raise RequestError(
        f"Unknown renderer {name!r}. Known: {', '.join(preset_names())}. Your own is {own_folder() / name}.toml "
        "(docs/renderers.md)"
    )


def _files() -> Iterator[Path]:
    yield from sorted(own_folder().glob("*.toml"))
    yield from sorted(SHIPPED.glob("*.toml"))


def _loaded(point: EntryPoint) -> Path:
    try:
        loaded = point.load()
    except Exception as exc:  # whatever another package raises while it is imported
        raise RequestError(f"The renderer {point.name!r} ({point.value}) can't be loaded: {exc}") from exc
    if not isinstance(loaded, str | os.PathLike):
        raise RequestError(
            f"The renderer {point.name!r} ({point.value}) is a {type(loaded).__name__}; expected the path of its file"
        )
    return Path(loaded).absolute()
