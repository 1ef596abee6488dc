"""Presets: found by name, read, and refused with file, field and what was expected."""

from pathlib import Path

import pytest

from helios.errors import RequestError, SpecError
from helios.renderers.finding import SHIPPED, find_preset, own_folder, preset_names
from helios.renderers.preset import read_preset

GOOD = 'description = "A renderer"\ncommand = "draw {input} {start} {count} {output}"\n'


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_presets_are_sound(path: Path) -> None:
    """Every preset of this package can be read, and asks its scenes."""
    assert read_preset(path).ask is not None


def test_an_own_preset_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's own preset is found by its file's name, and stands before the shipped one of that name."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own_folder().mkdir(parents=True)
    for name in ("own", "blender"):
        (own_folder() / f"{name}.toml").write_text(GOOD)
    assert find_preset("own").preset.command == "draw {input} {start} {count} {output}"
    assert find_preset("blender").preset.description == "A renderer"
    assert {"own", "manim", "ffmpeg"} <= set(preset_names())


def test_a_preset_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package names its preset's file by an entry point."""
    (tmp_path / "house.toml").write_text(GOOD)
    (tmp_path / "house_renderers.py").write_text(f"PRESET = {str(tmp_path / 'house.toml')!r}\nNUMBER = 7\n")
    info = tmp_path / "house-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house\nVersion: 1\n")
    points = "house = house_renderers:PRESET\nnumber = house_renderers:NUMBER\ngone = house_renderers:GONE\n"
    (info / "entry_points.txt").write_text(f"[helios.renderers]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_preset("house").folder == tmp_path
    with pytest.raises(RequestError, match=r"'number' \(house_renderers:NUMBER\) is a int; expected the path"):
        find_preset("number")
    with pytest.raises(RequestError, match="'gone' .* can't be loaded"):
        find_preset("gone")


def test_an_unknown_renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name is answered with the names that there are, and where an own one goes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(
        RequestError, match=r"'maya'. Known: blender, ffmpeg, manim, node, page, python, remotion.*renderers/maya.toml"
    ):
        find_preset("maya")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("command = ", "expected a preset in TOML"),
        ('description = "x"\n', "command: missing; expected a value"),
        (GOOD + "chunks = 7\n", "chunks: an unknown field; expected only fields of a preset"),
        (GOOD.replace("{start}", "{first}"), "command: {first}; expected names out of count, end, end_time"),
        (GOOD.replace("{start}", "{"), "expected a template with names in braces"),
        (GOOD.replace("{start}", "'x"), "command: .*No closing quotation"),
        (GOOD + "[ask]\ntimeout_seconds = 3\n", "ask: .*expected either `command`, or `source = true`"),
        (GOOD + '[ask]\ncommand = "x {output}"\n', "ask.command: {output}; expected names out of folder, input, name"),
        (GOOD + '[options]\noutput = "x"\n', "options.output: a name that planning fills"),
    ],
)
def test_bad_presets(tmp_path: Path, text: str, said: str) -> None:
    """A bad preset is refused with its file, the field, and what was expected."""
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(SpecError, match=f"^{tmp_path / 'bad.toml'}: {said}" if said[0] != "e" else said):
        find_preset(str(tmp_path / "bad.toml"))


def test_a_preset_that_is_not_there() -> None:
    """A preset's file that is missing is named."""
    with pytest.raises(RequestError, match=r"The preset /nowhere/x.toml can't be read: No such file"):
        find_preset("/nowhere/x.toml")
