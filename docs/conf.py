"""Settings of the built site."""

from __future__ import annotations

import sockwright

project = "Sockwright"
author = "the Sockwright authors"
copyright = "the Sockwright authors; Apache-2.0"  # noqa: A001 (Sphinx names it so)
version = release = sockwright.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"Sockwright {release}"
html_copy_source = False

# Docstrings are read in editors and terminals first: one backtick means code there, and prose that
# is no perfect reStructuredText is shown as it is. Everything else that is wrong stops the build.
default_role = "code"
suppress_warnings = ["docutils", "autodoc"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
