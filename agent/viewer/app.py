"""An index of traces goes in, a web application comes out: a page, its data, videos by ranges, thumbnails, news.

Made for the loopback address: no other host name is answered (a page elsewhere could name this machine's address by
its own name), nothing is ever written, and no page may load anything from elsewhere.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agent.encode import to_json
from agent.viewer.detail import list_json, trace_json
from agent.viewer.files import Index
from agent.viewer.lanes import all_frames
from agent.viewer.media import Places
from agent.viewer.thumbs import Thumbs
from roles.errors import MindreelError, TraceError

STATIC = Path(__file__).parent / "static"
HOSTS = ("localhost", "127.0.0.1", "[::1]")
POLICY = (
    "default-src 'self'; img-src 'self' data:; media-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
POLL_S = 0.5
"""How often the folder is looked at while a page is open."""
BEAT_S = 15.0
"""A sign of life for a page that waits for news, by which its leaving is noticed."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def make_app(
    index: Index, places: Places, *, poll_s: float = POLL_S, stopping: Callable[[], bool] = lambda: False
) -> Guard:
    """Puts the application together.

    Args:
        index: The traces.
        places: Where their videos may lie.
        poll_s: How often the folder is looked at while a page waits for news.
        stopping: Whether the server is about to stop, for pages that would wait for ever.
    """
    pages = _Pages(index, places, poll_s, stopping)
    routes = [
        Route("/", pages.home),
        Route("/api/traces", pages.traces),
        Route("/api/trace/{id}", pages.trace),
        Route("/media/{id}", pages.media),
        Route("/thumb/{id}/{frame:int}.jpg", pages.thumb),
        Route("/events", pages.events),
        Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False  # an address is right or there is nothing at it
    return Guard(app)


class Guard:
    """Lets through only reading, and only under this machine's own names; adds the headers of every answer."""

    def __init__(self, app: Starlette) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                there = {name.lower() for name, _ in headers}
                added = {**HEADERS, "cache-control": "no-store"}
                headers += [
                    (name.encode(), value.encode()) for name, value in added.items() if name.encode() not in there
                ]
            await send(message)

        refusal: Response | None = None
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or _host_name(hosts[0]) not in HOSTS:
            refusal = problem("only this machine's own names are answered: open the address that was printed", 403)
        elif scope["method"] not in ("GET", "HEAD"):
            refusal = problem("only GET and HEAD are answered: nothing can be changed here", 405)
            refusal.headers["allow"] = "GET, HEAD"
        await (refusal or self.app)(scope, receive, with_headers)


class _Pages:
    """What is answered at each address."""

    def __init__(self, index: Index, places: Places, poll_s: float, stopping: Callable[[], bool]) -> None:
        self.index = index
        self.places = places
        self.thumbs = Thumbs()
        self.poll_s = poll_s
        self.stopping = stopping

    async def home(self, request: Request) -> Response:
        """The page."""
        return FileResponse(STATIC / "index.html", media_type="text/html")

    def traces(self, request: Request) -> Response:
        """The list."""
        self.index.refresh()
        return answer(list_json(self.index))

    def trace(self, request: Request) -> Response:
        """One question."""
        id_ = request.path_params["id"]
        found = self._find(id_)
        if found is None:
            return problem("no such trace; it may have been removed", 404)
        file, number = found
        try:
            return answer(trace_json(self.index, self.places, id_, file, number))
        except TraceError as error:
            return problem(str(error), 422)

    def media(self, request: Request) -> Response:
        """A video, or the range of it that is asked for."""
        found = self._find(request.path_params["id"])
        if found is None:
            return problem("no such trace; it may have been removed", 404)
        file, number = found
        try:
            trace = self.index.trace(file, number)
        except TraceError as error:
            return problem(str(error), 422)
        media = self.places.video(trace.video.path, file.path.parent)
        if media.path is None or not media.playable:
            return problem(media.problem or "there is no video", 404)
        return FileResponse(media.path, media_type=media.type, headers={"cache-control": "private, no-cache"})

    def thumb(self, request: Request) -> Response:
        """A frame that was looked at."""
        found = self._find(request.path_params["id"])
        if found is None:
            return problem("no such trace; it may have been removed", 404)
        file, number = found
        frame: int = request.path_params["frame"]
        try:
            trace = self.index.trace(file, number)
            media = self.places.video(trace.video.path, file.path.parent)
            wanted = all_frames(trace)
            if media.path is None or frame not in {one for one, _ in wanted}:
                return problem(media.problem or f"frame {frame} was not looked at", 404)
            data = self.thumbs.get(media.path, wanted, frame)
        except (MindreelError, OSError) as error:
            return problem(str(error), 422)
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    async def events(self, request: Request) -> Response:
        """News, as server-sent events: "changed" whenever a trace file grows, comes or goes."""
        return StreamingResponse(self._news(), media_type="text/event-stream")

    async def _news(self) -> AsyncIterator[str]:
        """Each page watches on its own, by what the list would show: two pages may look at one change."""
        seen = await run_in_threadpool(self._state)
        yield "event: hello\ndata: {}\n\n"
        quiet_s = 0.0
        while not self.stopping():
            await asyncio.sleep(self.poll_s)
            now = await run_in_threadpool(self._state)
            changed = sorted(name for name in seen.keys() | now.keys() if seen.get(name) != now.get(name))
            seen, quiet_s = now, quiet_s + self.poll_s
            if changed:
                yield f"event: changed\ndata: {json.dumps({'files': changed[:100]})}\n\n"
            elif quiet_s >= BEAT_S:
                yield ": still here\n\n"
            else:
                continue
            quiet_s = 0.0

    def _state(self) -> dict[str, Any]:
        self.index.refresh()
        return self.index.versions()

    def _find(self, id_: str) -> Any:
        found = self.index.find(id_)
        if found is None:  # perhaps written since the folder was last looked at
            self.index.refresh()
            found = self.index.find(id_)
        return found


def answer(value: Any, status: int = 200) -> Response:
    """A JSON answer; numbers that JSON has no word for become null."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError):
        text = json.dumps(to_json(value), separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def problem(message: str, status: int) -> Response:
    """An answer that says what is wrong."""
    return JSONResponse({"problem": message}, status)


def _host_name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdecimal() else host.lower()
