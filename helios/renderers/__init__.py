"""Renderers by name: what a preset says about a program, and how a scene is asked for its frames.

    PRESET.toml ─► Preset ─► ask() ─► Scene ─► plan_with() ─► JobSpec

A preset is read where a document is written, and never on a worker: the document's commands are whole.
"""
