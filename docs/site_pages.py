"""The pages of the site that are not written in docs/: README.md and its neighbours, and those of the Python names."""

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "affinitynet"

COPIED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
"""From the root of the repository to the site."""


def rooms() -> dict[str, list[str]]:
    """Return the public names of each room of the package, from the stub that lists them."""
    found: dict[str, list[str]] = {}
    for line in ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(line, ast.ImportFrom):
            room = str(line.module).split(".")[1]
            found.setdefault(room, []).extend(name.name for name in line.names)
    return found


def room_page(room: str, names: list[str]) -> str:
    """Return the page of a room: its own first line, then each name."""
    source = PACKAGE / room / "__init__.py" if (PACKAGE / room).is_dir() else PACKAGE / f"{room}.py"
    says = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return "\n\n".join([f"# {room}", says, *(f"::: affinitynet.{name}" for name in names)]) + "\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = [*(config.nav or []), {"Python": [f"api/{room}.md" for room in sorted(rooms())]}]
    config.watch.extend(str(ROOT / name) for name in ("src", *COPIED))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, target in COPIED.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text(encoding="utf-8")))
    for room, names in rooms().items():
        files.append(File.generated(config, f"api/{room}.md", content=room_page(room, names)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    origins = {target: source for source, target in COPIED.items()}
    folder = posixpath.dirname(origins.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def moved(link: re.Match[str]) -> str:
        text, target, anchor = link["text"], link["target"], link["anchor"] or ""
        path = posixpath.normpath(posixpath.join(folder, target))
        if path in COPIED:
            return f"{text}({COPIED[path]}{anchor})"
        if path.startswith("docs/"):
            return f"{text}({path.removeprefix('docs/')}{anchor})"
        return text[1:-1] if (ROOT / path).exists() else link[0]  # a file that is not on the site

    return re.sub(r"(?P<text>\[[^\]\n]*\])\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)", moved, markdown)
