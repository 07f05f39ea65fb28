"""An address goes in, a connection to a Ray cluster comes out; without one, a cluster of this machine alone."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.errors import one_line
from eval.worlds.workers import cores
from roles.errors import InputError

_OBJECTS_BYTES = 100 * 2**20
"""A local cluster's store of objects: records are too small to need it, and Ray would take a third of the memory."""
_ANSWER_S = 10.0
"""How long a cluster's head may take to answer."""


def imported_ray(local: bool) -> Any:
    """Ray itself; what it reads when it is imported is set first.

    Raises:
        InputError: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if local and "ray" not in sys.modules:
        # Ray's switch for systems with a firewall that asks: it listens on 127.0.0.1 and nowhere else.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":  # others on this machine are kept out, too
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise InputError(f"Ray is not installed ({error}); pip install 'mindreel[ray]'") from error
    return ray


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:
    """With a cluster; one that the caller has connected to is used as it is.

    Raises:
        InputError: It cannot be reached.
    """
    if ray.is_initialized():
        yield
        return
    quiet = {"logging_level": logging.WARNING, "log_to_driver": False}
    try:
        if address:
            _check_answers(address)
            ray.init(address=address, **quiet)
        else:
            size = {"num_cpus": cores(), "object_store_memory": _OBJECTS_BYTES}
            ray.init(address="local", include_dashboard=False, **size, **quiet)
    except (OSError, RuntimeError, ValueError, SystemExit) as error:  # Ray ends the process where it loses patience
        raise InputError(f"Ray cluster {address or 'of this machine'}: {one_line(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Makes sure that somebody listens: Ray itself would try for two minutes, and then end this process.

    Raises:
        ValueError: It is no address of a cluster.
        OSError: Nobody answers.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise ValueError("expected HOST:PORT as `ray start` shows it, or auto")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
