"""How many sockets a job may have open."""

from __future__ import annotations

import resource

from sockwright.sockets.descriptors import within_limit


def test_no_more_than_half_the_descriptors_are_used() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        assert within_limit(10) == 10
        assert within_limit(4000) == 50
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
