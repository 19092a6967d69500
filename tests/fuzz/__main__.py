"""
Lets Atheris loose on one target.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

_CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """
    C{python -m tests.fuzz NAME}; see L{tests.fuzz}.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("name", nargs="?", help="what to fuzz")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--runs", type=int, default=-1, help="stop after so many executions")
    arguments = parser.parse_args()
    try:
        import atheris
    except ImportError:
        atheris = None
    if atheris is not None and not arguments.list:
        # What is imported in here is watched for the branches it takes.
        with atheris.instrument_imports(include=["conchlite"]):
            from conchlite import algorithms
            from tests.fuzz.targets import TARGETS

            # Algorithms are imported when they are first used, which is too late.
            for module in pkgutil.walk_packages(algorithms.__path__, "conchlite.algorithms."):
                importlib.import_module(module.name)
    else:
        from tests.fuzz.targets import TARGETS
    if arguments.list or arguments.name is None:
        print("\n".join(TARGETS))
        return
    if arguments.name not in TARGETS:
        parser.error(f"there is no {arguments.name}: see --list")
    if atheris is None:
        parser.error("this wants Atheris: pip install -e '.[fuzz]'")
    found = tempfile.mkdtemp(prefix=f"fuzz-{arguments.name}-")
    print(f"what is found goes to {found}", flush=True)
    target = TARGETS[arguments.name]

    def TestOneInput(data: bytes) -> None:
        target(data)

    options = [
        f"-max_total_time={arguments.seconds}",
        f"-runs={arguments.runs}",
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
    ]
    # The first directory is where libFuzzer writes.
    atheris.Setup([sys.argv[0], *options, found, str(_CORPUS / arguments.name)], TestOneInput)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
