"""An index goes in; its page is served on the loopback address until the program is interrupted."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

from agent.viewer.files import Index
from agent.viewer.media import Places
from roles.errors import InputError

ADDRESS = "127.0.0.1"


def serve(index: Index, places: Places, port: int, *, open_browser: bool) -> int:
    """Serves the page; the address is printed once it answers.

    Args:
        index: The traces.
        places: Where their videos may lie.
        port: Of the loopback address; 0 takes any that is free.
        open_browser: Whether to open one, where there is a display.

    Returns:
        The exit code.

    Raises:
        InputError: The port cannot be had, or the extra `viewer` is not installed.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.closing(listening):
        try:
            listening.bind((ADDRESS, port))
            listening.listen(64)
        except OSError as error:
            raise InputError(f"--port {port}: cannot be had ({error.strerror}); name another, or none") from error
        try:
            import uvicorn

            from agent.viewer.app import make_app
        except ImportError as error:
            raise InputError(f"the page needs {error.name}: pip install 'mindreel[viewer]'") from error
        stopping: list[uvicorn.Server] = []
        app = make_app(index, places, stopping=lambda: any(server.should_exit for server in stopping))
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,  # a video that is being sent need not come to its end
            lifespan="off",
            ws="none",
        )
        url = f"http://{ADDRESS}:{listening.getsockname()[1]}/"
        print(url, flush=True)
        threading.Thread(target=index.refresh, daemon=True).start()  # so that the list is there when it is asked for
        if open_browser and _has_display():
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        stopping.append(uvicorn.Server(config))
        with contextlib.suppress(KeyboardInterrupt):  # how it is meant to end
            stopping[0].run(sockets=[listening])
    return 0


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
