"""The lines of a command's output that an error shows are those that tell why it failed."""

from helios.processes.telling_lines import telling_lines

NODE = """Starting renderer
Error: vp9 is only supported in MP4 containers
    at check (/app/node_modules/renderer/dist/index.js:112:15)
    at async render (/app/node_modules/renderer/dist/index.js:204:9)
    at async main (file:///app/cli.js:10:3) {
  code: 'BAD_CODEC'
}
    at processTicksAndRejections (node:internal/process/task_queues:95:5)

Node.js v20.11.0
"""
PYTHON = """Traceback (most recent call last):
  File "/app/render.py", line 3, in <module>
    main()
    ^^^^^^
  File "/app/render.py", line 9, in main
    raise ValueError("no scene")
ValueError: no scene
"""


def test_errors_come_before_stacks() -> None:
    """Of a stack the error stays, and not the frames; what is no stack stays as it is."""
    found, are_last = telling_lines(NODE)
    assert found == ["Starting renderer", "Error: vp9 is only supported in MP4 containers", "  code: 'BAD_CODEC'"]
    assert not are_last
    assert telling_lines(PYTHON)[0] == ["ValueError: no scene"]
    assert telling_lines("a\nb\n\nc\n") == (["a", "b", "c"], True)
    assert telling_lines(" \n") == ([], True)


def test_a_cause_far_above_the_end_is_shown() -> None:
    """The first error is among the lines, however much follows it, and lines keep their order."""
    text = "\n".join(["fatal: the scene is missing", *(f"note {chr(97 + n)}" for n in range(20)), "done, exit 1"])
    found, _ = telling_lines(text)
    assert found[0] == "fatal: the scene is missing"
    assert found[-1] == "done, exit 1"
    assert len(found) == 5


def test_repetitions_are_folded() -> None:
    """Lines in a row that differ in numbers alone are one line, with their number."""
    text = "opened\n" + "\n".join(f"frame= {n} fps=30" for n in range(100)) + "\nclosed"
    assert telling_lines(text)[0] == ["opened", "frame= 99 fps=30 (100 times)", "closed"]
