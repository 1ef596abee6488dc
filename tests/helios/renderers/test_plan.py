"""From a scene to a job document."""

from fractions import Fraction

import pytest

from helios.errors import RequestError
from helios.renderers.plan import plan_with, usual_sizes, whole_parts
from helios.renderers.preset import Preset
from helios.renderers.scene import Said, Scene

SCENE = Scene(frames=100, start_frame=1, fps=Fraction(24), width=64, height=36)
PRESET = Preset(
    description="d",
    command="draw {input} {*args} {start}-{last} {fps} {width}x{height} {output}",
    options={"args": ""},
)


def test_chunks_of_whole_parts() -> None:
    """Cuts are moved to the nearest boundary of the scene's parts, and two that meet become one."""
    assert whole_parts([50, 50], [40, 30, 30]) == [(40, 0, 0), (60, 1, 2)]
    assert whole_parts([25, 25, 25, 25], [90, 10]) == [(90, 0, 0), (10, 1, 1)]
    assert whole_parts([10] * 10, [100]) == [(100, 0, 0)]


def test_options_become_words() -> None:
    """An option may stand for several words, whatever signs they have; without a value for none."""
    plan = plan_with(PRESET, SCENE, [100], input_file="a b.scene", options={"args": "-t '{x} y'"})
    assert plan.chunks[0].argv == ("draw", "a b.scene", "-t", "{x} y", "1-100", "24", "64x36", "a b-0000.mp4")
    assert plan_with(PRESET, SCENE, [100], input_file="s", options={}).chunks[0].argv[2] == "1-100"
    with pytest.raises(RequestError, match=r"--set args=.*No closing quotation"):
        plan_with(PRESET, SCENE, [100], input_file="s", options={"args": "'"})


def test_the_document_knows_its_inputs() -> None:
    """Files that the preset or the scene names are the job's inputs; the video has the scene's name."""
    preset = PRESET.model_copy(update={"inputs": ("{input}",)})
    scene = SCENE.model_copy(update={"inputs": ("tex/a.png", "s.blend")})
    plan = plan_with(preset, scene, usual_sizes(scene), input_file="s.blend", options={})
    assert plan.inputs == ("s.blend", "tex/a.png")
    assert (plan.output_file, len(plan.chunks)) == ("s.mp4", 20)


def test_what_a_person_says_wins() -> None:
    """Numbers from the command line replace the scene's; from a later first frame on fewer frames are left."""
    assert SCENE.told(Said(start_frame=91)).frames == 10
    told = SCENE.told(Said(frames=5, fps=Fraction(30), size=(8, 6)))
    assert (told.frames, told.start_frame, told.pictures()) == (5, 1, (Fraction(30), 8, 6))
    with pytest.raises(RequestError, match="expected at most 100, the scene's last frame"):
        SCENE.told(Said(start_frame=101))


def test_a_seek_loses_no_frame() -> None:
    """The time to seek to lies half a frame before a chunk's first, and not before the beginning."""
    preset = PRESET.model_copy(update={"command": "cut {seek_time} {output}"})
    plan = plan_with(preset, SCENE.model_copy(update={"start_frame": 0}), [50, 50], input_file="s", options={})
    assert [chunk.argv[1] for chunk in plan.chunks] == ["0", "2.0625"]
