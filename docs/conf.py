"""Settings of the built site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sockwright

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

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
# Blocking and asyncio classes have the same names, which it calls ambiguous (ref.python).
suppress_warnings = ["docutils", "ref.python"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"


def _miss_no_public_name(_: Sphinx, environment: BuildEnvironment) -> None:
    """Stop the build when a name of `import sockwright` is not in the reference."""
    from sphinx.util.logging import getLogger

    objects = environment.domaindata["py"]["objects"]
    shown = {name.rpartition(".")[2] for name in objects if name.count(".") == 2}
    for name in sorted(set(sockwright.__all__) - shown - {"__version__"}):
        getLogger(__name__).warning("sockwright.%s is not in the reference", name)


def setup(app: Sphinx) -> None:
    """Hang the check in."""
    app.connect("env-check-consistency", _miss_no_public_name)
