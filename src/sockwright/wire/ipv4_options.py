"""IPv4 options."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.wire.core.option import Option

KINDS: Mapping[int, type[Option]] = {}
