"""Written lessons go in, the arrays of one packed sequence come out: each film once, what is asked of it behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters.positions import position_ids
from adapters.tokens import REG, SEG_END, SEG_START, VIDEO, Tokens
from adapters.train.default.contract import UNKNOWN, Lesson, Segment
from prompts import ROLES as AGENT_ROLES

ROLES = (*AGENT_ROLES, "transcript")
MOST_GROUNDED = 600
"""Queries of a pack that the regression head learns from; the others only teach the sentence."""


@dataclass(frozen=True, slots=True)
class Group:
    """Films of one size, drawn together.

    Attributes:
        rows: Rows of visual tokens.
        columns: Columns of visual tokens.
        films: What `World.draw` draws.
        patches: Temporal patches of all of them.
    """

    rows: int
    columns: int
    films: tuple[Any, ...]
    patches: int


@dataclass(slots=True)
class Pack:
    """N tokens, Nv of them visual, P temporal patches, S segments, M written tokens, I state items, Q state queries.

    Attributes:
        number: Its number.
        ids: Token ids, [N].
        positions: Time, row and column, [3, N].
        film: Which film a token belongs to, -1 at the end where nothing is left, [N].
        segment: 0 for the video and what stands before it, else which of the film's segments, [N].
        visual: Where visual tokens stand, [Nv].
        visual_order: Which visual token of the groups' concatenation each of them is, [Nv].
        visual_patch: Its temporal patch, [Nv].
        patch_tokens: Visual tokens of each temporal patch, float, [P].
        predict: Positions whose next token is learned, [M].
        targets: Those tokens, [M].
        owner: The segment that each belongs to, [M].
        segment_role: Index into `ROLES` of each segment, [S].
        ground_patches: Patches of each film that is searched, -1 behind its end, [G, T].
        ground_query: Position whose state points, [K].
        ground_film: Row of `ground_patches`, [K].
        ground_spans: Start and end in patches, -1 where there is none, [K, n, 2].
        item_patch: What patch a state item is about, [I].
        item_query: Its query, [I].
        item_labels: Class, colour, shape, [I, 3].
        item_visible: Whether that patch alone shows it, [I].
        queries: Kind and names, [Q, 4].
        groups: The films.
        types: Type of each segment's question, for statistics.
        seconds: Of film in it.
        lessons: How many.
    """

    number: int
    ids: Tensor
    positions: Tensor
    film: Tensor
    segment: Tensor
    visual: Tensor
    visual_order: Tensor
    visual_patch: Tensor
    patch_tokens: Tensor
    predict: Tensor
    targets: Tensor
    owner: Tensor
    segment_role: Tensor
    ground_patches: Tensor
    ground_query: Tensor
    ground_film: Tensor
    ground_spans: Tensor
    item_patch: Tensor
    item_query: Tensor
    item_labels: Tensor
    item_visible: Tensor
    queries: Tensor
    groups: tuple[Group, ...]
    types: tuple[str, ...]
    seconds: float
    lessons: int
    mask: Any = None
    """What sees what, once the network has worked it out."""

    def on(self, device: torch.device) -> Pack:
        """Itself on a device, without the films."""
        moved: dict[str, Any] = {
            one.name: value.to(device, non_blocking=True)
            for one in fields(self)
            if isinstance(value := getattr(self, one.name), Tensor)
        }
        groups = tuple(replace(group, films=()) for group in self.groups)
        return replace(self, groups=groups, **moved)


@dataclass(frozen=True, slots=True)
class Written:
    """A segment as tokens: `ids`, of which the reply begins at `reply_at`."""

    segment: Segment
    ids: tuple[int, ...]
    reply_at: int


class ArrayMaker:
    """Fills the arrays of a pack film by film.

    Args:
        tokens: The tokenizer.
        length: Tokens of a pack.
        head: Tokens before a film.
        visible: Kinds of state queries that one patch shows.
        aligned: Whether marks take no place of their own among the positions.
        lessons: All that will be added, with their segments.
    """

    def __init__(
        self, tokens: Tokens, length: int, head: Sequence[int], visible: frozenset[int], aligned: bool,
        lessons: Sequence[tuple[Lesson, Sequence[Written]]],
    ) -> None:  # fmt: skip
        self.tokens, self.visible, self.aligned = tokens, visible, aligned
        n = length
        self.ids = np.full(n, tokens.id("<|endoftext|>"), dtype=np.int64)
        self.positions = np.zeros((3, n), dtype=np.int64)
        self.film = np.full(n, -1, dtype=np.int32)
        self.segment = np.zeros(n, dtype=np.int32)
        self.at = 0
        self.patches = 0
        self.visual: list[Any] = []
        self.visual_patch: list[Any] = []
        self.tokens_of_patch: list[Any] = []
        self.predict: list[int] = []
        self.targets: list[int] = []
        self.owner: list[int] = []
        self.roles: list[int] = []
        self.types: list[str] = []
        self.ground: list[tuple[int, int, int, list[tuple[float, float]]]] = []
        self.lengths: dict[int, int] = {}
        self.items: list[tuple[Any, Any, Any, Any]] = []
        self.queries: list[Any] = []
        self.query_count = 0
        self.head = np.array(head, dtype=np.int64)
        sizes = sorted({(lesson.rows, lesson.columns) for lesson, _ in lessons})
        self.groups: list[Group] = []
        self.starts: dict[int, int] = {}
        drawn = 0
        for rows, columns in sizes:
            mine = [i for i, (lesson, _) in enumerate(lessons) if (lesson.rows, lesson.columns) == (rows, columns)]
            for i in mine:
                self.starts[i] = drawn
                drawn += lessons[i][0].patches * rows * columns
            films = tuple(lessons[i][0].film for i in mine)
            self.groups.append(Group(rows, columns, films, sum(lessons[i][0].patches for i in mine)))
        self.order: list[Any] = []
        self.seconds = sum(lesson.seconds for lesson, _ in lessons)
        self.lessons = len(lessons)

    def add(self, film: int, lesson: Lesson, segments: Sequence[Written]) -> None:
        """Adds the next film with its segments."""
        tokens, start = self.tokens, self.at
        per_patch = lesson.rows * lesson.columns
        count = lesson.patches * per_patch
        video = np.full(count, tokens.id(VIDEO), dtype=np.int64)
        where = np.arange(count)
        first_mark = second = 0
        if lesson.marked_norm is not None:
            first_mark, second = (round(norm * lesson.patches) * per_patch for norm in lesson.marked_norm)
            video = np.insert(video, [first_mark, second], [tokens.id(SEG_START), tokens.id(SEG_END)])
            where = where + (where >= first_mark) + (where >= second)
        prefix = np.concatenate((self.head, video))
        end = start + len(prefix)
        self.ids[start:end] = prefix
        grid = (lesson.patches, lesson.rows, lesson.columns)
        marked = lesson.marked_norm is not None
        places = position_ids(len(prefix), len(self.head), grid, marked, first_mark, second, self.aligned).numpy()
        self.positions[:, start:end] = places
        self.film[start:end] = film
        self.visual.append(start + len(self.head) + where)
        patch = np.repeat(np.arange(lesson.patches), per_patch) + self.patches
        self.visual_patch.append(patch)
        self.tokens_of_patch.append(np.full(lesson.patches, per_patch, dtype=np.float32))
        self.order.append(self.starts[film] + np.arange(count))
        after = len(self.head) + max(grid)
        if marked and not self.aligned and first_mark == 0:
            after = len(prefix)
        self.at = end
        for number, written in enumerate(segments):
            self._add_segment(film, number + 1, after, written, lesson)
        self._add_states(lesson)
        self.patches += lesson.patches

    def _add_segment(self, film: int, number: int, after: int, written: Written, lesson: Lesson) -> None:
        start, ids = self.at, np.array(written.ids, dtype=np.int64)
        end = start + len(ids)
        self.ids[start:end] = ids
        self.positions[:, start:end] = after + np.arange(len(ids))
        self.film[start:end] = film
        self.segment[start:end] = number
        owner = len(self.roles)
        reply = range(start + written.reply_at, end)
        self.predict += [at - 1 for at in reply]
        self.targets += ids[written.reply_at :].tolist()
        self.owner += [owner] * len(reply)
        self.roles.append(ROLES.index(written.segment.role))
        self.types.append(written.segment.type)
        if written.segment.role == "grounder" and written.segment.spans_norm and len(self.ground) < MOST_GROUNDED:
            reg = next(at for at in reply if self.ids[at] == self.tokens.id(REG))
            spans = [(a * lesson.patches, b * lesson.patches) for a, b in written.segment.spans_norm]
            self.ground.append((film, self.patches, reg - 1, spans))
            self.lengths[film] = lesson.patches
        self.at = end

    def _add_states(self, lesson: Lesson) -> None:
        if lesson.states is None or not len(lesson.states.queries):
            return
        labels = lesson.states.labels.astype(np.int64)
        known = (labels != UNKNOWN).any(axis=2)
        query, patch = np.nonzero(known)
        visible = np.isin(lesson.states.queries[query, 0], sorted(self.visible))
        self.items.append((patch + self.patches, query + self.query_count, labels[query, patch], visible))
        self.queries.append(lesson.states.queries.astype(np.int64))
        self.query_count += len(lesson.states.queries)

    def finish(self, number: int) -> Pack:
        """The pack."""
        films = sorted({film for film, _, _, _ in self.ground})
        lengths = self.lengths
        longest = max((lengths[film] for film in films), default=1)
        ground_patches = np.full((len(films), longest), -1, dtype=np.int64)
        most = max((len(spans) for _, _, _, spans in self.ground), default=1)
        spans = np.full((len(self.ground), most, 2), -1.0, dtype=np.float32)
        for row, (film, first, _, ends) in enumerate(self.ground):
            ground_patches[films.index(film), : lengths[film]] = first + np.arange(lengths[film])
            spans[row, : len(ends)] = ends
        items = [np.concatenate(parts) for parts in zip(*self.items, strict=True)] if self.items else None

        def whole(parts: Sequence[Any]) -> Tensor:
            return torch.from_numpy(np.concatenate(parts).astype(np.int64))

        return Pack(
            number=number,
            ids=torch.from_numpy(self.ids),
            positions=torch.from_numpy(self.positions),
            film=torch.from_numpy(self.film),
            segment=torch.from_numpy(self.segment),
            visual=whole(self.visual),
            visual_order=whole(self.order),
            visual_patch=whole(self.visual_patch),
            patch_tokens=torch.from_numpy(np.concatenate(self.tokens_of_patch)),
            predict=torch.tensor(self.predict),
            targets=torch.tensor(self.targets),
            owner=torch.tensor(self.owner),
            segment_role=torch.tensor(self.roles),
            ground_patches=torch.from_numpy(ground_patches),
            ground_query=torch.tensor([query for _, _, query, _ in self.ground], dtype=torch.int64),
            ground_film=torch.tensor([films.index(film) for film, _, _, _ in self.ground], dtype=torch.int64),
            ground_spans=torch.from_numpy(spans),
            item_patch=torch.from_numpy(items[0]) if items else torch.zeros(0, dtype=torch.int64),
            item_query=torch.from_numpy(items[1]) if items else torch.zeros(0, dtype=torch.int64),
            item_labels=torch.from_numpy(items[2]) if items else torch.zeros(0, 3, dtype=torch.int64),
            item_visible=torch.from_numpy(items[3]) if items else torch.zeros(0, dtype=torch.bool),
            queries=whole(self.queries) if self.queries else torch.zeros(0, 4, dtype=torch.int64),
            groups=tuple(self.groups),
            types=tuple(self.types),
            seconds=self.seconds,
            lessons=self.lessons,
        )
