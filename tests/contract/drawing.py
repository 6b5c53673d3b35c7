"""Draws the packages of python/fleet for docs/architecture.md, from the layers in pyproject.toml and the imports in the code.

``python tests/contract/drawing.py`` writes the drawing into the document; test_drawing.py compares them.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawing: begin -->", "<!-- drawing: end -->"


def layers() -> list[list[str]]:
    """The packages from the top floor down; those of one floor do not import each other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (found,) = [contract["layers"] for contract in contracts if contract["id"] == "layers"]
    return [[name.strip() for name in layer.split("|")] for layer in found if layer != "__main__"]


def purpose(package: str) -> str:
    """The first sentence of a package's or module's docstring, up to its end or its first colon at the end of a line."""
    path = ROOT / "python" / "fleet" / package
    text = ast.get_docstring(
        ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8"))
    )
    assert text, f"fleet.{package} has no docstring"
    return " ".join(text.split("\n\n", 1)[0].split()).rstrip(".:").replace("``", "`")


def imports() -> dict[str, set[str]]:
    """For each package those that it imports, types included."""
    graph = grimp.build_graph("fleet")
    tops = {module: module.split(".")[1] for module in graph.modules if "." in module}
    found: dict[str, set[str]] = {top: set() for top in tops.values()}
    for module, top in tops.items():
        found[top] |= {tops[other] for other in graph.find_modules_directly_imported_by(module) if other in tops} - {top}
    return found


def drawing() -> str:
    """The floors as a picture, and a table of the packages with what each imports."""
    floors = layers()
    order = [name for floor in floors for name in floor]
    used = imports()
    width = max(len("   ".join(floor)) for floor in floors)
    picture = "\n        ▼\n".join(f"  {'   '.join(floor):<{width}}".rstrip() for floor in floors)
    rows = [
        f"| `{name}` | {purpose(name)} | {', '.join(f'`{one}`' for one in order if one in used[name]) or 'nothing of fleet'} |"
        for name in order
    ]
    table = "\n".join(["| package | what lives there | imports |", "|---|---|---|", *rows])
    return f"```\n{picture}\n```\n\n{table}"


def written() -> str:
    """The drawing as the document has it."""
    return DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


if __name__ == "__main__":
    head, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    DOCUMENT.write_text(f"{head}{BEGIN}\n{drawing()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
