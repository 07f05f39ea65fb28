"""Figures and spans go in, inline SVG comes out: intervals, bars with whiskers, calibration, IoU, time lines.

Pictures are drawn in CSS classes, so that the page decides the colours, light or dark. A picture's coordinates are
pixels at its largest; `interval_bar` and `timeline` are as wide as the page allows, with places in per cent.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.show import clean
from roles.types import Span

Json = Mapping[str, Any]
Point = tuple[float, float]

WIDTH_PX, HEIGHT_PX = 360, 240
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 44, 12, 14, 40
LANE_PX = 30


def interval_bar(figure: Json) -> str:
    """A share on a line from 0 to 1 (from -1 where it is negative), its interval as a thick stroke."""
    low, high, mean = (min(1.0, max(-1.0, float(figure[name]))) for name in ("low", "high", "mean"))
    start = -1.0 if low < 0 else 0.0

    def at(value: float) -> str:
        return f"{_short(100 * (value - start) / (1 - start))}%"

    return (
        f'<svg class="bar" role="img" aria-label="{_percent(mean)} on a line from {_percent(start)} to 100" '
        'width="100%" height="14"><line class="axis" x1="0" x2="100%" y1="7" y2="7"/>'
        + "".join(f'<line class="axis" x1="{at(tick)}" x2="{at(tick)}" y1="4" y2="10"/>' for tick in (0.0, 0.5, 1.0))
        + ("" if figure.get("sets") == 1 else f'<line class="reach" x1="{at(low)}" x2="{at(high)}" y1="7" y2="7"/>')
        + f'<circle class="dot" cx="{at(mean)}" cy="7" r="4"/></svg>'
    )


def whisker_bars(figures: Mapping[str, Json], label: str) -> str:
    """A bar for each share from 0 to 1, with its interval as a whisker."""
    plot = _Plot(label, x_ticks=())
    width = plot.width_px / max(1, len(figures))
    for number, (name, figure) in enumerate(figures.items()):
        middle_px = LEFT_PX + (number + 0.5) * width
        mean, low, high = (float(figure[key]) for key in ("mean", "low", "high"))
        plot.rect(middle_px - 0.3 * width, mean, 0.6 * width, f"{name}: {_percent(mean)} %")
        whisker = (
            ()
            if figure.get("sets") == 1
            else (  # one set has no interval
                ((middle_px, low), (middle_px, high)),
                ((middle_px - 6, low), (middle_px + 6, low)),
                ((middle_px - 6, high), (middle_px + 6, high)),
            )
        )
        for ends in whisker:
            plot.line("whisker", *[(x_px, plot.y(share)) for x_px, share in ends])
        plot.text(middle_px, HEIGHT_PX - BOTTOM_PX + 16, name)
        plot.text(middle_px, min(plot.y(high), plot.y(mean)) - 5, _percent(mean), "mid value")
    return plot.svg()


def reliability(bins: Sequence[Json]) -> str:
    """How often answers of some probability are right, over that probability; counts as grey bars at the bottom."""
    plot = _Plot("How often answers of some probability are right, in %", x_title="probability of the chosen option, %")
    most = max((one["count"] for one in bins), default=0) or 1
    plot.line("ideal", (plot.x(0), plot.y(0)), (plot.x(1), plot.y(1)))
    points = []
    for one in bins:
        low_px, high_px = plot.x(float(one["low"])), plot.x(float(one["high"]))
        if not one["count"]:
            continue
        told = f"{one['count']:,} answers"
        plot.rect(low_px + 1, 0.3 * one["count"] / most, high_px - low_px - 2, told, "count")
        plot.text((low_px + high_px) / 2, plot.y(0.3 * one["count"] / most) - 3, f"{one['count']:,}", "mid small")
        if one.get("right") is not None and one.get("confidence") is not None:
            points.append((plot.x(_share(one["confidence"])), plot.y(_share(one["right"]))))
    plot.line("curve", *points)
    plot.dots(points)
    return plot.svg()


def histogram(counts: Sequence[int], label: str, x_title: str) -> str:
    """Counts of equal parts of 0 to 1."""
    most = max(counts, default=0) or 1
    half = [(0.5, f"{most // 2:,}")] if most % 2 == 0 else []
    plot = _Plot(label, x_title=x_title, y_ticks=[(0.0, "0"), *half, (1.0, f"{most:,}")], x_percent=False)
    width = plot.width_px / max(1, len(counts))
    for number, one in enumerate(counts):
        told = f"{number / len(counts):.2f} to {(number + 1) / len(counts):.2f}: {one:,}"
        plot.rect(LEFT_PX + number * width + 0.5, one / most, width - 1, told)
    return plot.svg()


def recall_curve(points: Sequence[Sequence[float]]) -> str:
    """Share of questions whose first moment reaches an IoU, over that IoU."""
    plot = _Plot("Share of questions whose first moment reaches an IoU, in %", x_title="IoU at least", x_percent=False)
    places = [(plot.x(limit), plot.y(share)) for limit, share in points]
    plot.line("curve", *places)
    plot.dots(places)
    return plot.svg()


def timeline(duration_s: float, lanes: Iterable[tuple[str, str, Sequence[Span]]]) -> str:
    """Spans over a video.

    Args:
        duration_s: The video's length.
        lanes: (class, label, spans) from top to bottom.
    """
    rows = list(lanes)
    length_s = max([duration_s, *(span.end_s for _, _, spans in rows for span in spans)]) or 1.0
    height_px = LANE_PX * len(rows) + 20
    parts = [f'<svg class="time" role="img" aria-label="Moments over the video" width="100%" height="{height_px}">']
    for number, (kind, label, spans) in enumerate(rows):
        top_px = LANE_PX * number
        parts.append(f'<text x="0" y="{top_px + 11}">{_words(label)}</text>')
        parts.append(f'<rect class="lane" x="0" y="{top_px + 15}" width="100%" height="12"/>')
        for span in spans:
            start, width = 100 * span.start_s / length_s, 100 * span.length_s / length_s
            parts.append(
                f'<rect class="{kind}" x="{_short(start)}%" y="{top_px + 15}" width="{_short(max(0.4, width))}%" '
                f'height="12"><title>{span.start_s:.2f} to {span.end_s:.2f} s</title></rect>'
            )
    for share, kind in ((0.0, "start"), (0.5, "mid"), (1.0, "end")):
        parts.append(
            f'<text class="{kind}" x="{_short(100 * share)}%" y="{height_px - 6}">{share * length_s:.1f} s</text>'
        )
    return "".join([*parts, "</svg>"])


class _Plot:
    """Axes from 0 to 1, and what is drawn over them."""

    def __init__(
        self,
        label: str,
        x_title: str = "",
        x_ticks: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
        y_ticks: Sequence[tuple[float, str]] = ((0.0, "0"), (0.25, "25"), (0.5, "50"), (0.75, "75"), (1.0, "100")),
        x_percent: bool = True,
    ) -> None:
        self.width_px = WIDTH_PX - LEFT_PX - RIGHT_PX
        self._parts = [
            f'<svg class="plot" role="img" aria-label="{_words(label)}" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}">'
        ]
        for share, text in y_ticks:
            self.line("axis", (LEFT_PX, self.y(share)), (WIDTH_PX - RIGHT_PX, self.y(share)))
            self.text(LEFT_PX - 6, self.y(share) + 4, text, "end")
        for share in x_ticks:
            shown = f"{100 * share:g}" if x_percent else f"{share:g}"
            self.text(self.x(share), HEIGHT_PX - BOTTOM_PX + 16, shown)
        if x_title:
            self.text(LEFT_PX + self.width_px / 2, HEIGHT_PX - 6, x_title)

    def x(self, share: float) -> float:
        """Pixels from the left of a place from 0 to 1."""
        return LEFT_PX + share * self.width_px

    def y(self, share: float) -> float:
        """Pixels from the top of a height from 0 to 1."""
        return HEIGHT_PX - BOTTOM_PX - share * (HEIGHT_PX - TOP_PX - BOTTOM_PX)

    def rect(self, left_px: float, share: float, width_px: float, title: str, kind: str = "fill") -> None:
        """A bar that stands on the axis."""
        top_px = self.y(share)
        self._parts.append(
            f'<rect class="{kind}" x="{_short(left_px)}" y="{_short(top_px)}" width="{_short(width_px)}" '
            f'height="{_short(self.y(0) - top_px)}"><title>{_words(title)}</title></rect>'
        )

    def line(self, kind: str, *points: Point) -> None:
        """A line through points, in pixels."""
        if points:
            places = " ".join(f"{_short(x_px)},{_short(y_px)}" for x_px, y_px in points)
            self._parts.append(f'<polyline class="{kind}" points="{places}"/>')

    def dots(self, points: Iterable[Point]) -> None:
        """A dot at each point, in pixels."""
        self._parts += [
            f'<circle class="dot" cx="{_short(x_px)}" cy="{_short(y_px)}" r="3.5"/>' for x_px, y_px in points
        ]

    def text(self, x_px: float, y_px: float, text: str, kind: str = "mid") -> None:
        """Words; `kind` is a class of the page."""
        place = f'x="{_short(x_px)}" y="{_short(y_px)}"'
        self._parts.append(f'<text class="{kind}" {place}>{_words(text)}</text>')

    def svg(self) -> str:
        """The picture."""
        return "".join([*self._parts, "</svg>"])


def _share(value: Any) -> float:
    """A share, also where it comes with an interval."""
    return float(value["mean"] if isinstance(value, Mapping) else value)


def _words(text: str) -> str:
    """Foreign words in a picture."""
    return html.escape(clean(text)[:80])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
