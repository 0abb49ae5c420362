"""Reading YAML that may come from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from affinitynet.types import InputError

LARGEST = 2**20  # bytes; a config has two thousand


class _Loader(yaml.SafeLoader):
    """Plain values only, and no aliases: a few nested ones unfold to more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds an alias (*name)")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain values.

    Raises:
        InputError: it is missing, no YAML, too large, or holds aliases or objects.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "config.yaml"
        >>> _ = path.write_text("walk: {beta: 4}")
        >>> read_yaml(path)
        {'walk': {'beta': 4}}
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: larger than 1 MB, which no config is; name another file")
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except InputError:
        raise
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a readable YAML file ({reason}); mend it or leave it out") from None
