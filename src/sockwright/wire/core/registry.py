"""Which header stands behind which number.

A header says in its own class statement by whom it is carried (``carried_by={"ip_protocol": 6}``).
The registry is those statements turned round, read once from the modules in `sockwright.wire`, so
that a new header is one new file and nothing registers itself at import.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.wire.core.header import Header, Tables

__all__ = ["header_classes", "tables"]


@cache
def header_classes() -> tuple[type[Header], ...]:
    """Return every header class of `sockwright.wire`, in order of module and definition."""
    package = import_module("sockwright.wire")
    found: list[type[Header]] = []
    base = import_module("sockwright.wire.core.header").Header
    for module_info in pkgutil.iter_modules(package.__path__, "sockwright.wire."):
        if module_info.ispkg:
            continue
        module = import_module(module_info.name)
        found += [
            member
            for member in vars(module).values()
            if isinstance(member, type)
            and issubclass(member, base)
            and member is not base
            and not member.__name__.startswith("_")
            and member.__module__ == module.__name__
        ]
    return tuple(found)


@cache
def tables() -> Tables:
    """Return namespace -> number -> form of the header class (its last item is the class).

    Namespaces: ``link_type`` (LINKTYPE_ values), ``ether_type``, ``llc_sap``, ``ip_protocol``,
    ``icmpv6_type`` and whatever else a header names in `carried_by`.
    """
    result: Tables = {}
    for header in header_classes():
        for namespace, numbers in header.carried_by.items():
            for number in numbers:
                result.setdefault(namespace, {})[number] = header._form
        for field in header.fields:
            if field.namespace:
                result.setdefault(field.namespace, {})
    return result
