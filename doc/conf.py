"""
Sphinx's configuration: C{sphinx-build doc doc/_build/html}.

With pydoctor installed, the build makes the reference of the classes as well, in
the place of C{api/index.rst}. The reference links to Python's and Twisted's own,
for which it needs the network: C{-t chapters} leaves it out.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root))

from conchlite import __version__  # noqa: E402  the path comes first

project = "conchlite"
release = version = __version__
exclude_patterns = ["_build"]
nitpicky = True
html_theme = "alabaster"

# Sphinx gives this file the tags.
if importlib.util.find_spec("pydoctor") is not None and not tags.has("chapters"):  # noqa: F821
    extensions = ["pydoctor.sphinx_ext.build_apidocs"]
    pydoctor_args = [
        "--project-name=conchlite",
        f"--project-version={__version__}",
        f"--project-base-dir={root}",
        "--docformat=epytext",
        "--intersphinx=https://docs.python.org/3/objects.inv",
        "--intersphinx=https://docs.twisted.org/en/stable/api/objects.inv",
        "--html-output={outdir}/api",
        str(root / "conchlite"),
    ]
