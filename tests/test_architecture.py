"""Who may import whom, and where third parties live. The ladder is in docs/architecture.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "vsearch"
ARCHITECTURE = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
[LADDER_TEXT] = re.findall(r"```ladder\n(.*?)```", ARCHITECTURE, re.DOTALL)
LADDER = [set(line.split()) for line in LADDER_TEXT.splitlines()]
HOMES = {
    "av": {"media", "export"},
    "chardet": {"transcripts"},
    "sqlalchemy": {"catalog"},
    "alembic": {"catalog"},
    "filelock": {"catalog"},
    "faiss": {"index"},
    "torch": {"encoders", "training"},
    "torchvision": {"encoders"},
    "open_clip": {"encoders"},
    "onnx": set(),
    "onnxruntime": {"encoders"},
    "openvino": {"encoders"},
    "tokenizers": {"encoders"},
    "faster_whisper": {"transcripts"},
    "ctranslate2": {"transcripts"},
    "rapidocr": {"transcripts"},
    "ray": {"cluster"},
    "click": {"cli"},
    "rich": {"cli"},
    "opentimelineio": {"export"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "pydantic": {"server", "mcp_server"},
    "uvicorn": {"server", "mcp_server"},
    "prometheus_client": {"server"},
    "anyio": {"server", "mcp_server"},
    "mcp": {"mcp_server"},
    "httpx2": {"client", "media"},
}
FILES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def is_module(name: str) -> bool:
    """Return True for a single file at the top of the package."""
    return (ROOT / f"{name}.py").is_file()


def rung(name: str) -> int:
    return next(i for i, names in enumerate(LADDER) if name in names)


def imports(path: Path) -> list[str]:
    """Every module that a file imports, function-local and type-checking imports included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


def inner(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports(path) if name.startswith("vsearch.")}
    return names & set().union(*LADDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_from_rooms_below_its_own(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    for there in inner(path) - {here}:
        is_loose_pair = is_module(here) and is_module(there)
        lowest = rung(here) if is_loose_pair else rung(here) + 1
        assert rung(there) >= lowest, f"{here} must not import {there}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_third_party_stays_in_its_room(path: Path) -> None:
    for name in imports(path):
        home = HOMES.get(name.split(".")[0])
        assert home is None or room(path) in home, f"{name} belongs in {home}"


def test_av_is_known_to_few_files_only() -> None:
    users = {p.name for p in FILES if any(n.split(".")[0] == "av" for n in imports(p))}
    reading = {"frame_codec.py", "container.py", "subtitle_streams.py", "reader.py", "rgb.py"}
    reading |= {"selective_decoding.py", "audio.py", "shot_detection.py", "sampler.py"}
    writing = {"stream_copy.py", "mp4.py", "encoding.py"}
    playing = {"playback.py", "remux.py", "upload_sandbox.py", "fragmented_mp4.py"}
    assert users == reading | writing | playing


def test_every_file_stands_on_the_ladder() -> None:
    known = set().union(*LADDER) | {"__init__", "__main__"}
    assert {room(path) for path in FILES} <= known


def test_sub_packages_have_init_files_without_code() -> None:
    for path in ROOT.glob("*/**/__init__.py"):
        statements = ast.parse(path.read_text("utf-8")).body
        assert all(isinstance(statement, ast.Expr) for statement in statements), path


def test_there_are_no_import_cycles() -> None:
    modules = {module_name(path): path for path in FILES}
    edges = {
        name: {target for found in imports(path) for target in targets(found, modules)} - {name}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for target in edges[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def module_name(path: Path) -> str:
    parts = ["vsearch", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def targets(found: str, modules: dict[str, Path]) -> set[str]:
    """The module that an imported name lives in: `vsearch.types.Span` -> `vsearch.types`."""
    if found in modules:
        return {found}
    parent = found.rpartition(".")[0]
    return {parent} if parent in modules and parent != "vsearch" else set()
