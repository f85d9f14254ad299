"""`Value`: what parts of rows have in common that hold a few numbers or words, and nothing else."""

from __future__ import annotations

__all__ = ["Value"]


class Value:
    """Something that is equal to others of its class that hold the same, and shows what it holds.

    What it holds are its slots, but for those that begin with an underscore.
    """

    __slots__ = ()

    def _held(self) -> list[tuple[str, object]]:
        """Return what it holds, by name."""
        names = (name for cls in type(self).__mro__ for name in getattr(cls, "__slots__", ()))
        return [(name, getattr(self, name)) for name in names if not name.startswith("_")]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value) or type(self) is not type(other):
            return NotImplemented
        return self._held() == other._held()

    def __hash__(self) -> int:
        return hash((type(self), *self._held()))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self._held())
        return f"{type(self).__name__}({told})"
