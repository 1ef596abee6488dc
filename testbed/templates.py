"""Templates of Open Job Description for tests: the examples', and small ones that are changed at will."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples" / "openjd"
_SMALL: dict[str, Any] = {
    "specificationVersion": "jobtemplate-2023-09",
    "name": "Small",
    "parameterDefinitions": [
        {"name": "Frames", "type": "STRING", "default": "1-6"},
        {"name": "Size", "type": "INT", "default": 64, "minValue": 16, "maxValue": 128},
        {"name": "Mode", "type": "STRING", "default": "dark", "allowedValues": ["dark", "light"]},
        {"name": "Scene", "type": "PATH", "objectType": "FILE", "dataFlow": "IN", "default": "scene.txt"},
        {"name": "Out", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "OUT", "default": "out"},
    ],
    "steps": [
        {
            "name": "Render",
            "parameterSpace": {
                "taskParameterDefinitions": [{"name": "Frame", "type": "INT", "range": "{{Param.Frames}}"}]
            },
            "script": {"actions": {"onRun": {"command": "true"}}},
        }
    ],
}


def small_template() -> dict[str, Any]:
    """A template of one step with frames, to be changed."""
    return deepcopy(_SMALL)


def write_template(folder: Path, template: dict[str, Any]) -> Path:
    """Write a template, and the scene that it names."""
    (folder / "scene.txt").write_text("scene")
    path = folder / "template.yaml"
    path.write_text(json.dumps(template))  # which is YAML, too
    return path


def example(name: str, folder: Path) -> Path:
    """A copy of an example's template."""
    path = folder / name
    path.write_bytes((EXAMPLES / name).read_bytes())
    return path
