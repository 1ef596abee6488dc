"""Loaded by Manim itself instead of a scene's file: play the scene without drawing it, and say which frames it has."""

import inspect
import json
import os
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

from manim import Camera, Scene, config
from manim.scene.scene_file_writer import SceneFileWriter

sys.dont_write_bytecode = True  # beside the scene
animations: list[int] = []
"""Frames of each animation."""


def begin(_self: Any, *_args: Any, **_kwargs: Any) -> None:
    """Count from 0 for the next animation."""
    animations.append(0)


def write(_self: Any, _frame: Any, num_frames: int = 1, repeat: int = 1) -> None:
    """Count frames instead of writing them; versions of Manim name the number of equal ones differently."""
    animations[-1] += num_frames * repeat


def nothing(*_args: Any, **_kwargs: Any) -> None:
    """Draw nothing: it would take as long as rendering."""


def scene_classes(path: str) -> dict[str, type[Scene]]:
    """The scenes that a file defines, by name."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    loader = SourceFileLoader("asked_scene", path)
    module = module_from_spec(spec_from_loader("asked_scene", loader))
    sys.modules["asked_scene"] = module
    loader.exec_module(module)
    found = inspect.getmembers(module, lambda one: inspect.isclass(one) and issubclass(one, Scene))
    return {name: one for name, one in found if one.__module__ == "asked_scene"}


def answer(path: str, name: str) -> dict[str, Any]:
    """What is said about a file."""
    classes = scene_classes(path)
    names = ", ".join(classes) or "none"
    if name and name not in classes:
        return {"problems": [f"it has no scene {name!r}; it has: {names}"]}
    if not name and len(classes) != 1:
        return {"problems": [f"it has the scenes {names}; say which (--set scene=NAME)"]}
    chosen = name or next(iter(classes))
    SceneFileWriter.begin_animation, SceneFileWriter.write_frame = begin, write
    SceneFileWriter.end_animation = nothing
    Camera.capture_mobjects = nothing
    classes[chosen]().render()
    if not sum(animations):
        return {"problems": [f"the scene {chosen} plays no animation: it is one picture"]}
    return {
        "frames": sum(animations),
        "fps": config.frame_rate,
        "width": config.pixel_width,
        "height": config.pixel_height,
        "format": chosen,
        "parts": animations,
        "values": {"scene": chosen},
    }


found = answer(os.environ["HELIOS_SCENE_FILE"], os.environ["HELIOS_SCENE"])
sys.stdout.write(f"\nhelios-scene: {json.dumps(found)}\n")
sys.stdout.flush()
os._exit(0)  # Manim would go on, and look for a scene in this file
