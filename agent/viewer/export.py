"""A question goes in, one HTML file comes out that shows it without a server and without a network.

It is the page itself, with its styles, scripts and data inside and its thumbnails as data URIs. Scripts and styles are
allowed by their hash, everything from elsewhere is forbidden, and the data can end no element.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agent.encode import to_json
from agent.trace import Trace
from agent.viewer.choice import only, with_ending
from agent.viewer.detail import list_json, trace_json
from agent.viewer.files import Index
from agent.viewer.lanes import all_frames
from agent.viewer.media import Media, Places
from agent.viewer.thumbs import Thumbs
from roles.errors import InputError, MindreelError

STATIC = Path(__file__).parent / "static"
MAX_THUMBS = 400
"""More frames than this get no picture: evenly thinned out."""
MAX_EMBED_BYTES = 256 << 20
"""Browsers take no longer data URIs than this for sure."""

_STYLE = re.compile(r'<link rel="stylesheet" href="/static/([\w.-]+)">\s*')
_SCRIPT = re.compile(r'<script( type="module")? src="/static/([\w.-]+)"(?: defer)?></script>\s*')


def export(
    index: Index, places: Places, question: int | None, path: str | Path, *, embed_video: bool = False
) -> list[str]:
    """Writes a question as one file.

    Args:
        index: What was named: one trace.
        places: Where its video may lie.
        question: Number in the file, from 1; None where there is only one.
        path: The file to write; one that is there is replaced.
        embed_video: Put the video inside; else the page links to it.

    Returns:
        What a person should know, such as that there is no video.

    Raises:
        InputError: No such question, or it cannot be written.
    """
    target = with_ending(path)
    file, number, trace = only(index, question)
    id_ = f"{file.key}-{number}"
    media = places.video(trace.video.path, file.path.parent)
    if embed_video and not media.playable:
        raise InputError(f"--embed-video: {media.problem}")
    shown = trace_json(index, places, id_, file, number)
    notes = [] if media.problem is None else [media.problem]
    pictures, lost = _pictures(trace, media, f"/thumb/{id_}/")
    if lost:
        notes.append(f"{lost} of {lost + len(pictures)} frames have no picture in the page")
    for lane in shown["lanes"]:
        for item in lane["items"]:
            item["thumb"] = pictures.get(item["thumb"])
    if media.playable and media.path is not None:
        shown["video"]["url"] = _inside(media) if embed_video else _link(media.path, target)
    shown["previous"] = shown["next"] = None
    rows = [row for row in list_json(index)["traces"] if row["id"] == id_]
    listed = {"folder": file.name, "traces": rows, "problems": []}
    text = page({"traces": listed, "trace": {id_: shown}})
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--export {path}: cannot be written ({error.strerror or error})") from error
    return notes


def page(data: dict[str, Any]) -> str:
    """The page with everything inside.

    Args:
        data: {"traces": as /api/traces gives it, "trace": {id: as /api/trace/id gives it}}.
    """
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    scripts = ""

    def allowed(kind: str, name: str) -> str:
        source = (STATIC / name).read_text(encoding="utf-8").replace("</" + kind, "<\\/" + kind)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
        return source

    for module, name in _SCRIPT.findall(text):
        scripts += f"<script{module}>{allowed('script', name)}</script>\n"
    text = _STYLE.sub(lambda match: f"<style>{allowed('style', match[1])}</style>\n", text)
    text = _SCRIPT.sub("", text)
    policy = (
        f"default-src 'none'; style-src {' '.join(hashes['style'])}; script-src {' '.join(hashes['script'])}; "
        "img-src data:; media-src 'self' file: data:; base-uri 'none'; form-action 'none'"
    )
    held = f'<script type="application/json" id="exported">{_safe(data)}</script>\n'
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>\s*', "", text)
    head = f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">'
    text = text.replace('<meta charset="utf-8">', head, 1)
    before, end, after = text.rpartition("</body>")
    return f"{before}{held}{scripts}{end}{after}"


def _safe(data: Any) -> str:
    """JSON that ends no script element and no line of one."""
    try:
        text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError):
        text = json.dumps(to_json(data), separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _pictures(trace: Trace, media: Media, prefix: str) -> tuple[dict[str, str], int]:
    """Data URIs of the frames by the address they have on the live page, and how many there are none of."""
    wanted = all_frames(trace)
    if media.path is None:
        return {}, 0
    apart = -(-len(wanted) // MAX_THUMBS) or 1
    thumbs, found = Thumbs(), {}
    for frame, _ in wanted[::apart]:
        try:
            data = thumbs.get(media.path, wanted, frame)
        except (MindreelError, OSError):
            continue
        found[f"{prefix}{frame}.jpg"] = "data:image/jpeg;base64," + base64.b64encode(data).decode()
    return found, len(wanted) - len(found)


def _inside(media: Media) -> str:
    path = media.path
    if path is None:
        raise InputError("--embed-video: there is no video")
    size = path.stat().st_size
    if size > MAX_EMBED_BYTES:
        most = MAX_EMBED_BYTES >> 20
        raise InputError(f"--embed-video: {path.name} has {size >> 20} MiB, over {most}; leave it linked")
    return f"data:{media.type};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _link(video: Path, target: Path) -> str:
    """The video's place from the page's folder; where there is no such way, its address as a file."""
    try:
        relative = os.path.relpath(video, target.resolve().parent)
    except ValueError:  # another drive
        return video.as_uri()
    return quote(Path(relative).as_posix())
