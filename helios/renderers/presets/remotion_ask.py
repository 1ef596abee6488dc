"""Say which frames a composition of Remotion has, as `remotion compositions` lists it."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROW = re.compile(r"^(\S+)\s+([\d.]+)\s+(\d+)x(\d+)\s+(\d+) \(.*\)$", re.MULTILINE)
"""`Film    30      640x360        60 (2.00 sec)`."""


FILES = ("package.json", "package-lock.json", "tsconfig.json", "remotion.config.ts", "remotion.config.js")
"""Of a project, beside its folders `src` and `public`."""


def inputs(file: str) -> list[str]:
    """Patterns of what the project reads. Its packages are installed and not sent."""
    folders = [f"{name}/**" for name in ("src", "public") if any(path.is_file() for path in Path(name).rglob("*"))]
    return [file, *folders, *(name for name in FILES if Path(name).is_file())]


def answer(listed: str, wanted: str) -> dict[str, object]:
    """What the list says about one composition."""
    rows = {row[0]: row for row in ROW.findall(listed)}
    if not rows:
        return {"problems": ["it has no composition with frames; stills are no videos"]}
    name = wanted or next(iter(rows))
    if (not wanted and len(rows) > 1) or name not in rows:
        problem = f"it has the compositions {', '.join(rows)}; name one: --set composition=ID"
        return {"problems": [problem]}
    _, fps, width, height, frames = rows[name]
    facts = {"fps": fps, "width": int(width), "height": int(height), "frames": int(frames)}
    return {**facts, "format": f"Remotion, {name}", "values": {"composition": name}}


def main() -> None:
    """Run Remotion, whose words are printed where it fails."""
    file, wanted, *more = sys.argv[1:]
    asked = ["npx", "--no-install", "remotion", "compositions", file, *more]
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(done.stdout)
    if done.returncode:
        sys.exit(done.returncode)
    said = {**answer(done.stdout, wanted), "inputs": inputs(file)}
    sys.stdout.write(f"\nhelios-scene: {json.dumps(said)}\n")


if __name__ == "__main__":
    main()
