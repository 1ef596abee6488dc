"""Run by Blender: make a small scene, rings that turn around a sphere. No other file is needed.

blender --background --factory-startup --python-exit-code 3 --python make_scene.py -- scene.blend
"""

import math
import os
import sys

import bpy

FRAMES = 48


def material(name: str, colour: tuple[float, float, float], *, glows: float = 0.0) -> bpy.types.Material:
    """A plain colour, or a light of it."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1)
    shader.inputs["Roughness"].default_value = 0.3
    emission = shader.inputs.get("Emission") or shader.inputs["Emission Color"]
    emission.default_value = (*colour, 1)
    shader.inputs["Emission Strength"].default_value = glows
    return made


def turn(thing: bpy.types.Object, *, turns: tuple[float, float, float]) -> None:
    """Turn evenly over the whole video."""
    thing.keyframe_insert("rotation_euler", frame=1)
    thing.rotation_euler = [angle + 2 * math.pi * part for angle, part in zip(thing.rotation_euler, turns, strict=True)]
    thing.keyframe_insert("rotation_euler", frame=FRAMES + 1)
    for curve in thing.animation_data.action.fcurves:
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"


bpy.ops.object.select_all(action="SELECT")
bpy.ops.object.delete()
bpy.ops.mesh.primitive_uv_sphere_add(radius=1, segments=48, ring_count=24)
bpy.ops.object.shade_smooth()
bpy.context.object.data.materials.append(material("sun", (1.0, 0.45, 0.08), glows=3))
for number, colour in enumerate([(0.1, 0.5, 0.9), (0.2, 0.8, 0.5), (0.8, 0.2, 0.5)]):
    bpy.ops.mesh.primitive_torus_add(major_radius=1.8 + 0.7 * number, minor_radius=0.12, major_segments=96)
    bpy.ops.object.shade_smooth()
    ring = bpy.context.object
    ring.data.materials.append(material(f"ring {number}", colour))
    ring.rotation_euler = (0.5 + 0.4 * number, 0.3 * number, 0)
    turn(ring, turns=(1 if number % 2 else -1, 0, 1))
bpy.ops.object.light_add(type="SUN", rotation=(0.7, 0.3, 0))
bpy.context.object.data.energy = 2
bpy.ops.object.camera_add(location=(0, -12, 6), rotation=(math.radians(63.5), 0, 0))
scene = bpy.context.scene
scene.camera = bpy.context.object
scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.02, 0.02, 0.05, 1)
scene.frame_start, scene.frame_end = 1, FRAMES
scene.render.engine = "CYCLES"
scene.render.resolution_x, scene.render.resolution_y, scene.render.fps = 320, 180, 24
scene.cycles.samples = 8
scene.cycles.use_denoising = False  # Debian's Blender is built without its denoiser
bpy.ops.wm.save_as_mainfile(filepath=os.path.abspath(sys.argv[-1]))
