"""Compiled functions: a function of numbers and arrays goes in, the same in machine code comes out, kept on disk.

Without numba the function itself comes out, with the same results, hundreds of times slower; who uses it warns.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

try:
    from numba import njit
except ImportError:
    njit = None

Function = TypeVar("Function", bound=Callable[..., Any])
SOURCES = ("art/tracks", "compiler", "geometry", "rows", "shapes", "table", "tape", "tiles")


def compiled(function: Function) -> Function:
    """Compiles it when it is first called, and keeps the machine code on disk where there is a place to write."""
    if njit is None:
        return function
    try:
        dispatcher = njit(cache=True, nogil=True)(function)
        # By itself numba sees changes of the function's own file only, not of those it takes helpers and columns from.
        dispatcher._cache._cache_file._source_stamp = _stamp()
    except (RuntimeError, OSError, AttributeError):
        dispatcher = njit(nogil=True)(function)
    return cast("Function", dispatcher)


@cache
def _stamp() -> str:
    """What tells one version of all compiled sources from another."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / f"{name}.py").read_bytes() for name in SOURCES)).hexdigest()


@cache
def warn_if_slow() -> None:
    """Says once where there is no numba."""
    if njit is None:
        warnings.warn("numba is missing: films are made slowly; run: pip install 'mindreel[worlds]'", stacklevel=3)
