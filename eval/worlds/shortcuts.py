"""How far one gets without understanding minds: scenes and their questions go in, a table of baselines comes out.

python -m eval.worlds shortcuts --split test --seed 0 --n 300

Nothing is drawn: the baselines read the words, or a few facts of the film (where the thing is, where it was first, what
was said last, who is in view), and never what anybody perceived. Where they cannot tell options apart, a guess counts
with its expected share. The partial strategies below the line do use perception, and show which films need more.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from eval.worlds import splits
from eval.worlds.bag_of_words import BagOfWords, Item
from eval.worlds.clues import Film, films
from eval.worlds.questions import Question
from roles.examples import write_text
from roles.spans import iou
from roles.types import Span

HELD = ("belief", "search", "knowledge", "second_order", "belief_contents", "honesty")
"""Types of which no baseline may be more than `LIMIT` from chance."""
LIMIT = 0.05
TRAIN_SEED = 5_000_000
"""First seed of the scenes that the bags of words learn from."""

Guess = tuple[int, ...]
"""Numbers of the options among which a strategy cannot decide; one is a decision."""


@dataclass(frozen=True, slots=True)
class Score:
    """How often a baseline was right.

    Attributes:
        right: Mean credit.
        low: Lower end of the 95 % interval, by bootstrap over sets.
        high: Upper end.
        sets: Share of sets of which all questions of the type were right (expected, where it guessed).
        asked: Number of questions.
    """

    right: float
    low: float
    high: float
    sets: float
    asked: int


def _naming(film: Film, question: Question, name: str | None) -> Guess:
    """The options that name something; all where none or nothing does."""
    everything = tuple(range(len(question.options)))
    if name is None:
        return everything
    found = tuple(k for k in everything if _named(film, question.options[k]) == name)
    return found or everything


def _named(film: Film, text: str) -> str | None:
    low = text.lower()
    return next((name for name in film.names if name.lower() in low), None)


def _word(question: Question, *starts: str) -> Guess:
    """The options that begin with a word, such as "yes"."""
    found = tuple(k for k, option in enumerate(question.options) if option.lower().startswith(starts))
    return found or tuple(range(len(question.options)))


def _reality(film: Film, question: Question) -> Guess:
    return _word(question, "yes") if question.type == "knowledge" else _naming(film, question, film.reality)


def _in_view(film: Film, question: Question) -> Guess:
    if question.type == "knowledge":
        return _word(question, "yes" if film.in_view else "no")
    return _naming(film, question, film.reality if film.in_view else film.previous)


def _spoken(film: Film, question: Question) -> Guess:
    if question.type == "knowledge":
        return _word(question, "yes") if film.said else tuple(range(len(question.options)))
    return _naming(film, question, film.said)


def _attended(film: Film, question: Question) -> Guess:
    if question.type == "knowledge":
        return _word(question, "yes" if film.attended == film.reality else "no")
    return _naming(film, question, film.attended)


STRATEGIES: Mapping[str, Callable[[Film, Question], Guess]] = {
    "always the first option": lambda film, question: (0,),
    "always reality": _reality,
    "always the first place": lambda film, question: _naming(film, question, film.first),
    "always the previous place": lambda film, question: _naming(film, question, film.previous),
    "what was said last": _spoken,
    "in view at the end ? reality : previous place": _in_view,
}
PARTIAL: Mapping[str, Callable[[Film, Question], Guess]] = {
    "where she last was in the room with it": _attended,
    "order 1 in place of order 2": lambda film, question: _naming(
        film, question, film.believed if question.type == "second_order" else None
    ),
}
BAG_OF_EVENTS = "bag of events, in no order"
"""Learns from how often which events happen; it is told which option is where the thing is, was, and was first."""
PARTS = (BAG_OF_EVENTS, *PARTIAL)
"""Strategies that need part of what a mind takes, and may be as good as they are."""
LEARNED = (
    "options alone",
    "bag of words: question, options",
    "bag of words, options shuffled",
    "blind video: words, length, people, cuts",
)


def _item(film: Film, question: Question, baseline: str) -> Item:
    context: tuple[str, ...] = ()
    if baseline != LEARNED[0]:
        context = (question.text,)
    if baseline == LEARNED[3]:
        context += film.marks
    if baseline == BAG_OF_EVENTS:
        context = (f"type={question.type}", f"in_view={film.in_view}", *film.events)
        return Item(context, tuple(_parts(film, option) for option in question.options), _right(question))
    if baseline == LEARNED[2]:
        order = list(range(len(question.options)))
        random.Random(f"{film.seed}/{question.text}/shuffled").shuffle(order)  # noqa: S311 - no secret
        return Item(context, tuple(question.options[k] for k in order), order.index(_right(question)))
    return Item(context, question.options, _right(question))


def _right(question: Question) -> int:
    return question.options.index(question.answer or "")


def _parts(film: Film, option: str) -> str:
    """What an option is to the story, in place of its name."""
    name = _named(film, option)
    parts = {"reality": film.reality, "previous": film.previous, "first": film.first, "said": film.said}
    found = [part for part, place in parts.items() if name is not None and place == name]
    return " ".join(found) or option


def credits(train: Sequence[Film], test: Sequence[Film]) -> dict[str, list[tuple[int, str, float, int]]]:
    """What each baseline earns: (seed of the set, type, credit, number of options) for each question with options."""
    asked = [(film, question) for film in test for question in film.items if question.options]
    earned: dict[str, list[tuple[int, str, float, int]]] = {}
    shown = [(film, question) for film in train for question in film.items if question.options]
    for baseline in (*LEARNED, BAG_OF_EVENTS):
        bag = BagOfWords()
        # Options are shuffled only after learning: what was learned of their places does not help then.
        learned = LEARNED[1] if baseline == LEARNED[2] else baseline
        bag.fit([_item(film, question, learned) for film, question in shown])
        items = [_item(film, question, baseline) for film, question in asked]
        earned[baseline] = [
            (film.seed, question.type, float(bag.choose(item) == item.right), len(item.options))
            for (film, question), item in zip(asked, items, strict=True)
        ]
    for name, strategy in {**STRATEGIES, **PARTIAL}.items():
        earned[name] = [
            (film.seed, question.type, _credit(question, strategy(film, question)), len(question.options))
            for film, question in asked
        ]
    return earned


def _credit(question: Question, guess: Guess) -> float:
    return sum(question.options[k] == question.answer for k in guess) / len(guess)


def table(earned: Mapping[str, Sequence[tuple[int, str, float, int]]]) -> dict[str, dict[str, Score]]:
    """Scores by baseline and type; the first row, "chance", is what guessing gives."""
    rows: dict[str, dict[str, Score]] = {}
    some = next(iter(earned.values()))
    rows["chance"] = _by_type([(seed, kind, 1 / options, options) for seed, kind, _, options in some])
    for name, entries in earned.items():
        rows[name] = _by_type(entries)
    return rows


def _by_type(entries: Iterable[tuple[int, str, float, int]]) -> dict[str, Score]:
    groups: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed, kind, credit, _ in entries:
        groups[kind][seed].append(credit)
    return {kind: _score(list(groups[kind].values())) for kind in sorted(groups)}


def _score(sets: Sequence[Sequence[float]], draws: int = 500) -> Score:
    sums = [(sum(credits), len(credits)) for credits in sets]
    asked = sum(count for _, count in sums)
    dice = random.Random("bootstrap over sets")  # noqa: S311 - no secret
    means = sorted(
        sum(total for total, _ in drawn) / sum(count for _, count in drawn)
        for drawn in (dice.choices(sums, k=len(sums)) for _ in range(draws))
    )
    return Score(
        right=sum(total for total, _ in sums) / asked,
        low=means[int(0.025 * draws)],
        high=means[math.ceil(0.975 * draws) - 1],
        sets=sum(math.prod(credits) for credits in sets) / len(sets),
        asked=asked,
    )


def beyond(rows: Mapping[str, Mapping[str, Score]], limit: float = LIMIT) -> list[str]:
    """Baselines that are further from chance than they may be, in words; the partial strategies may be."""
    return [
        f"{name}: {kind} {score.right:.3f}, chance {rows['chance'][kind].right:.3f}"
        for name, scores in rows.items()
        if name not in PARTS
        for kind, score in scores.items()
        if kind in HELD and abs(score.right - rows["chance"][kind].right) > limit
    ]


def prior_spans(train: Sequence[Film], test: Sequence[Film]) -> dict[str, tuple[float, float, int]]:
    """Moments found without watching, by type: (mean IoU, share with IoU 0.5 or more, questions) of one constant span.

    The span, as fractions of the film, is the one of a grid that overlaps the training films' spans most.
    """
    grid = [(a / 20, b / 20) for a in range(20) for b in range(a + 1, 21)]
    found: dict[str, tuple[float, float, int]] = {}
    for kind in sorted({question.type for film in test for question in film.items if not question.options}):
        known = [_norm(film, question) for film in train for question in film.items if question.type == kind]
        asked = [_norm(film, question) for film in test for question in film.items if question.type == kind]
        best = max(grid, key=lambda pair: sum(_overlap(pair, spans) for spans in known))
        overlaps = [_overlap(best, spans) for spans in asked]
        found[kind] = (sum(overlaps) / len(overlaps), sum(o >= 0.5 for o in overlaps) / len(overlaps), len(overlaps))
    return found


def _norm(film: Film, question: Question) -> list[Span]:
    return [Span(span.start_s / film.length_s, span.end_s / film.length_s) for span in question.spans]


def _overlap(pair: tuple[float, float], spans: Sequence[Span]) -> float:
    return max(iou(Span(*pair), span) for span in spans)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m eval.worlds shortcuts`."""
    parser.add_argument("--seed", type=int, default=0, help="first set (default 0)")
    parser.add_argument("--n", type=int, default=300, help="sets that are asked about (default 300)")
    parser.add_argument("--train", type=int, default=400, help="sets that the bags of words learn from (default 400)")
    parser.add_argument(
        "--split", choices=sorted(splits.RANGES), default="test", help="counts --seed from its start (default test)"
    )
    parser.add_argument(
        "--workers", type=int, default=multiprocessing.cpu_count(), help="processes (default all cores)"
    )
    parser.add_argument("--out", type=Path, help="write the table as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the table; returns 1 where a baseline is further from chance than it may be."""
    from rich.console import Console
    from rich.table import Table

    start = splits.RANGES[args.split][0] + args.seed
    train = films(TRAIN_SEED, args.train, args.workers)
    test = films(start, args.n, args.workers)
    rows = table(credits(train, test))
    spans = prior_spans(train, test)
    kinds = [*HELD, *sorted(set(rows["chance"]) - set(HELD))]
    kinds = [kind for kind in kinds if kind in rows["chance"]]
    console = Console()
    shown = Table(
        title=f"{len(test)} films of {args.n} sets ({args.split} from {start}); right in %, sets all right in brackets"
    )
    shown.add_column("baseline")
    for kind in kinds:
        shown.add_column(f"{kind}\n{rows['chance'][kind].asked}", justify="right")
    for name in sorted(rows, key=lambda name: name in PARTS):
        scores = rows[name]
        if name == PARTS[0]:
            shown.add_section()
        shown.add_row(name, *(_cell(name, kind, scores[kind], rows["chance"][kind]) for kind in kinds))
    console.print(shown)
    moments = Table(title="Moments: the best constant span of the training films")
    for head in ("type", "mean IoU", "IoU >= 0.5", "questions"):
        moments.add_column(head, justify="left" if head == "type" else "right")
    for kind, (mean, half, count) in spans.items():
        moments.add_row(kind, f"{100 * mean:.1f}", f"{100 * half:.1f}", str(count))
    console.print(moments)
    problems = beyond(rows)
    if args.out:
        figures = {name: {k: asdict(score) for k, score in scores.items()} for name, scores in rows.items()}
        write_text(args.out, [json.dumps({"table": figures, "moments": spans, "beyond": problems}, indent=1)])
    for problem in problems:
        console.print(f"more than {100 * LIMIT:.0f} points from chance: {problem}", style="red")
    return 1 if problems else 0


def _cell(name: str, kind: str, score: Score, chance: Score) -> str:
    text = f"{100 * score.right:.1f} ({100 * score.sets:.0f})"
    far = kind in HELD and name not in PARTS and abs(score.right - chance.right) > LIMIT
    return f"[red]{text}[/red]" if far else text
