"""Every image under deploy/ can take the pinned packages as wheels.

Docker can't run where these tests run. They compare each base image's glibc and Python with the wheels of this
environment, which are the pinned wheels, and use no network.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(DEPLOY.rglob("Dockerfile*"))


@dataclass(frozen=True)
class Base:
    """The versions that decide which wheels an image takes."""

    glibc: tuple[int, int]
    python: str


TOO_OLD = "public.ecr.aws/lambda/python:3.11"
BASES = {
    # Amazon Linux 2023 (docs.aws.amazon.com/lambda/latest/dg/python-image.html), whose glibc is 2.34
    # (docs.aws.amazon.com/linux/al2023/ug/core-glibc.html).
    "public.ecr.aws/lambda/python:3.12": Base((2, 34), "3.12"),
    # Amazon Linux 2 (the same page), glibc 2.26 (docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html).
    TOO_OLD: Base((2, 26), "3.11"),
    # Debian 12 is in the tag; its glibc is 2.36 (packages.debian.org/bookworm/libc6).
    "python:3.11-slim-bookworm": Base((2, 36), "3.11"),
}
"""Base images that packages of this project are installed in."""
OTHERS = {"postgres:17"}
"""Images without packages of this project."""
BUILT_HERE = {"helios-render", "IMAGE"}
"""Names of images that a Dockerfile of this project makes; deploy.sh replaces IMAGE."""


def newest(python: str) -> str:
    """The newest patch version, which a tag without a patch version means: conditions on older versions don't hold."""
    return f"{python}.99"


def packages(dockerfile: str) -> set[str]:
    """The extras of this project that a Dockerfile installs."""
    installed = re.findall(r"pip install.*?\[([^\]]*)\]", dockerfile, re.S)
    assert installed, "no `pip install …[EXTRAS]` found: teach `packages` how this Dockerfile installs the project"
    return set(",".join(installed).split(","))


def by_tag(image: str) -> str:
    """An image's name without the digest, which every image from a registry must have."""
    name, _, digest = image.partition("@")
    assert name in BUILT_HERE or re.fullmatch("sha256:[0-9a-f]{64}", digest), f"{image}: run deploy/pin_images.sh"
    return name


def closure(extras: set[str], *, python: str) -> Iterator[Distribution]:
    """The packages that pip installs with the project and its extras for a Python version, dependencies included."""
    marks = {"python_version": python, "python_full_version": newest(python)}
    todo, seen = [("helios-render", frozenset(extras))], set()
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        found = distribution(name)
        yield found
        for requirement in map(Requirement, found.requires or ()):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({**marks, "extra": extra}) for extra in ("", *wanted)):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))


def needed_glibc(found: Distribution) -> tuple[int, int]:
    """The oldest glibc that a wheel is for; (0, 0) for pure Python (PEP 600 names the platforms)."""
    tags = re.findall(r"^Tag: \S+?-\S+?-(\S+)$", found.read_text("WHEEL") or "", re.M)
    assert tags, f"{found.name} was not installed from a wheel"
    old = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
    platforms = [platform for tag in tags for platform in tag.split(".")]
    versions = [(0, 0)] if "any" in platforms else []
    for platform in platforms:
        if new := re.match(r"manylinux_(\d+)_(\d+)_", platform):
            versions.append((int(new[1]), int(new[2])))
        versions.extend(version for name, version in old.items() if platform.startswith(f"{name}_"))
    assert versions, f"{found.name} has no wheel for Linux with glibc: {platforms}"
    return min(versions)


def misfits(base: Base, extras: set[str]) -> list[str]:
    """The pinned packages that have no wheel for a base image.

    Wheels of one release differ between Python versions in their Python tag alone: the platform tags of those for
    this environment's Python stand for all.
    """
    found = []
    for package in closure(extras, python=base.python):
        if (glibc := needed_glibc(package)) > base.glibc:
            found.append(f"{package.name} {package.version} needs glibc {glibc[0]}.{glibc[1]}")
        if not SpecifierSet(str(package.metadata.json.get("requires_python") or "")).contains(newest(base.python)):
            found.append(f"{package.name} {package.version} is not for Python {base.python}")
    return found


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_the_pinned_packages_have_wheels_for_the_base_image(path: Path) -> None:
    """What a Dockerfile installs fits the glibc and the Python of its FROM line."""
    text = path.read_text()
    images = re.findall(r"^FROM\s+(?:--\S+\s+)*(\S+)", text, re.M)
    assert images
    for image in map(by_tag, images):
        assert image in BASES, (
            f"{path}: the base image {image} is unknown; add its glibc (`docker run IMAGE ldd --version`) and Python "
            f"version to BASES in {Path(__file__).name}, with the source of both"
        )
        problems = misfits(BASES[image], packages(text))
        assert not problems, f"{path}: {image} takes no wheel of: {'; '.join(problems)}"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_nothing_is_compiled_in_an_image(path: Path) -> None:
    """A pin without a wheel stops the build, where pip would begin to compile in an image without FFmpeg."""
    assert "--only-binary :all:" in path.read_text()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_takes_no_bytes_but_the_recorded_ones(path: Path) -> None:
    """An image installs what its list names, with digests; the list has all packages, as constraints.txt has them."""
    text, found = path.read_text(), (path.parent / "requirements.txt").read_text()
    assert f"COPY deploy/{path.parent.name}/requirements.txt /tmp/requirements.txt" in text
    assert "--require-hashes --only-binary :all: --requirement /tmp/requirements.txt" in text
    for install in re.findall(r"pip install(.*)", text):
        assert "--require-hashes" in install or "--no-deps --no-build-isolation" in install
    entry = r"^([a-z0-9-]+)==(\S+)(?: \\\n    --hash=sha256:[0-9a-f]{64})+$"
    listed = dict(re.findall(entry, found, re.M))
    assert len(listed) == len(re.findall(r"^[a-z0-9-]+==", found, re.M)) > 0  # each has a digest
    pins = set(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(), re.M))
    assert set(listed.items()) <= pins
    (image,) = map(by_tag, re.findall(r"^FROM (\S+)", text, re.M))
    needed = {canonicalize_name(one.name) for one in closure(packages(text), python=BASES[image].python)}
    assert needed - {"helios-render"} <= set(listed)
    assert "hatchling" in listed  # what builds the project is recorded, too


def test_every_image_that_is_named_is_known() -> None:
    """Every image that a manifest starts is made here, is a known base, or has none of this project's packages."""
    named = [
        (path.name, image)
        for path in sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")])
        for image in re.findall(r"^\s*(?:-\s+)?image:\s*[\"']?([^\s\"']+)", path.read_text(), re.M)
    ]
    assert named
    for file, image in named:
        assert by_tag(image) in OTHERS | BUILT_HERE | set(BASES), (
            f"{file}: the image {image} is unknown; add it to BASES in {Path(__file__).name} with its glibc and Python "
            "version if packages of this project are installed in it, otherwise to OTHERS"
        )


def test_an_image_that_is_too_old_is_noticed() -> None:
    """The Lambda image of Python 3.11 takes neither FFmpeg's libraries nor NumPy, as a wheel."""
    problems = " ".join(misfits(BASES[TOO_OLD], {"examples"}))
    assert "av " in problems
    assert "numpy " in problems
