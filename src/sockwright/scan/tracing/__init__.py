"""The routers on the way to a host that is there."""

from sockwright.scan.tracing.tracing import trace

__all__ = ["trace"]
