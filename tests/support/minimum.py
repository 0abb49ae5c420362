"""The lowest versions that pyproject.toml declares, as exact pins: ``python -m tests.support.minimum``."""

import re
import tomllib

from tests.support.places import ROOT


def lowest_pins(requirements: list[str]) -> list[str]:
    """Turn ``name>=version`` into ``name==version``; a requirement without a lower bound is an error.

    Example:
        >>> lowest_pins(["torch>=2.6", "jsonargparse[signatures]>=4.49"])
        ['torch==2.6', 'jsonargparse[signatures]==4.49']
    """
    found = [re.fullmatch(r"([\w.\-\[\]]+)>=([\w.]+)", requirement) for requirement in requirements]
    assert all(found), f"each dependency declares a lower bound and nothing else: {requirements}"
    return [f"{match[1]}=={match[2]}" for match in found if match]


def declared() -> list[str]:
    """Return the dependencies and those of the extra ``export``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["export"]]


if __name__ == "__main__":
    print("\n".join(lowest_pins(declared())))
