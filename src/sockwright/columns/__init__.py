"""Many packets at once: captures as batches of records, as columns, as text.

Names are loaded when they are first asked for, numpy and numba only when a capture is so large that
plain Python would be slower.
"""

from __future__ import annotations

# Type checkers take this constant as true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.columns.batch import Batch
    from sockwright.columns.capture_file import CaptureFile, open_capture
    from sockwright.columns.columns import Columns
    from sockwright.columns.fields import FieldInfo

__all__ = ["Batch", "CaptureFile", "Columns", "FieldInfo", "open_capture"]

_HOME = {
    "Batch": "batch",
    "CaptureFile": "capture_file",
    "Columns": "columns",
    "FieldInfo": "fields",
    "open_capture": "capture_file",
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        """Load the public name `name` from its home and keep it here."""
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
