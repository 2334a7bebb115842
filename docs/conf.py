"""Sphinx configuration of the project's documentation."""

import importlib.metadata

project = "nova-fakes"
copyright = "the nova-fakes authors"
author = "the nova-fakes authors"
release = version = importlib.metadata.version("nova-fakes")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["examples"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# What other projects define is named in signatures but not documented here.
nitpicky = False

html_theme = "furo"
html_title = f"nova-fakes {release}"
html_static_path: list[str] = []
