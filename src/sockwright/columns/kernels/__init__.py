"""Kernels: plain functions over octets and arrays that run as they are and compiled by numba alike.

Rules
    1. No imports but of other kernels: what is compiled is known without loading numpy or numba.
    2. Whole numbers only. An octet becomes one by ``octets[at] + 0`` or ``octets[at] & mask``, else
       numba keeps it 8 bits wide. They stay below 2**63: with uint64 numba would go to floats.
    3. Results go into arrays that the caller passes in. Every index was found to be inside before
       it is used: compiled code does not look.
    4. Loops are ``while`` and ``for … in range``; no objects, no exceptions.

`sockwright.columns.compiling.compiled` compiles a kernel and finds the kernels that it calls.
"""

from __future__ import annotations
