"""
Published test vectors: C{tests/vectors/*.json}, each with its source.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_DIRECTORY = Path(__file__).parent.parent / "vectors"


def vectors(name: str) -> list[dict[str, Any]]:
    """
    The vectors of one file; what is written in hex is left as it is.
    """
    return json.loads((_DIRECTORY / f"{name}.json").read_text())["vectors"]
