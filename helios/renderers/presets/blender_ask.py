"""Run by Blender itself, with the scene open: say which frames there are. Reads; changes nothing."""

import json
import os
import sys
from fractions import Fraction

import bpy

scene = bpy.context.scene
render = scene.render


def size() -> tuple[int, int]:
    """Width and height in pixels, as Blender computes them."""
    wide, high = (side * render.resolution_percentage // 100 for side in (render.resolution_x, render.resolution_y))
    if render.use_border and render.use_crop_to_border:
        left, right = int(wide * render.border_min_x), int(wide * render.border_max_x)
        low, top = int(high * render.border_min_y), int(high * render.border_max_y)
        return right - left, top - low
    return wide, high


def has_camera() -> bool:
    """Whether a picture needs no camera, or there is one, which Blender finds by itself."""
    editor = scene.sequence_editor
    strips = getattr(editor, "strips", None) or getattr(editor, "sequences", None) if editor else None
    if render.use_sequencer and strips:
        return True
    layers = [layer for layer in scene.view_layers if layer.use]
    return scene.camera is not None or any(one.type == "CAMERA" for layer in layers for one in layer.objects)


def problems() -> list[str]:
    """Why the scene can't be rendered in chunks."""
    found = []
    if not has_camera():
        found.append(f"the scene {scene.name!r} has no camera; add one, and make it the scene's (Ctrl-Numpad 0)")
    if not render.engine:
        found.append("its render engine is not installed here; enable the add-on that it needs")
    if scene.frame_step != 1:
        found.append(f"it renders every {scene.frame_step}th frame; set the step to 1")
    if scene.frame_start < 0:
        found.append(f"it begins with frame {scene.frame_start}; frames are counted from 0: move it")
    if render.use_multiview:
        found.append("it renders several views (stereoscopy); render one")
    found += [f"{path} is missing, which it reads" for path in files() if not os.path.exists(path)]
    return found


def video_problems() -> list[str]:
    """Why the scene can't become a video, though images can be rendered."""
    if not any(side % 2 for side in size()):
        return []
    return [
        f"it is {size()[0]}x{size()[1]} pixels; H.264 needs even numbers: change the resolution, or render images "
        "alone (--output-pattern 'frames/shot_####.png' --no-video)"
    ]


def files() -> list[str]:
    """Every file that the scene reads, as absolute paths."""
    return [os.path.normpath(path) for path in bpy.utils.blend_paths(absolute=True, packed=False)]


def caches() -> list[str]:
    """A pattern of the files of baked simulations, where there are any; Blender does not list them."""
    folder = f"blendcache_{os.path.splitext(os.path.basename(bpy.data.filepath))[0]}"
    beside = inside(os.path.join(os.path.dirname(bpy.data.filepath), folder))
    return [f"{beside}/**"] if beside and os.path.isdir(beside) else []


def inside(path: str) -> str | None:
    """A path relative to the working directory; None where it lies elsewhere."""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath("."))
    return None if relative.startswith("..") else relative


def warnings() -> list[str]:
    """What a person should know."""
    found = [
        f"it reads {path}, outside of this folder: workers on other machines won't have that"
        for path in files()
        if inside(path) is None
    ]
    if render.engine in {"BLENDER_EEVEE", "BLENDER_EEVEE_NEXT"}:
        found.append("Eevee needs a GPU or a display where it renders; Cycles does not")
    return found


rate = Fraction(render.fps) / Fraction(render.fps_base).limit_denominator(1001)
answer = {
    "frames": scene.frame_end - scene.frame_start + 1,
    "start_frame": max(scene.frame_start, 0),
    "fps": f"{rate.numerator}/{rate.denominator}",
    "width": size()[0],
    "height": size()[1],
    "format": f"{render.engine.title() or 'no engine'}, set to {render.image_settings.file_format}",
    "inputs": [*sorted({path for path in map(inside, files()) if path is not None}), *caches()],
    "problems": problems(),
    "video_problems": video_problems(),
    "warnings": warnings(),
}
sys.stdout.write(f"\nhelios-scene: {json.dumps(answer)}\n")
sys.stdout.flush()
