"""The four sorts of stories: a design and a kind go in, as a tale, and its director is told what happens.

What everybody should think in the end is noted in the tale, for the check.
"""

from __future__ import annotations

from collections.abc import Callable

from eval.worlds.design import TRUE_KINDS, B, M, W, X
from eval.worlds.draw import unit
from eval.worlds.tale import Tale


def _setting(tale: Tale) -> None:
    """Somebody puts the thing into its first container while the believer watches."""
    design, film = tale.design, tale.film
    x, putter = tale.names[X], tale.names[design.putter]
    film.wait(film.lasts("settle", 0.4, 0.8))
    tale.gap("open")
    if design.enters:
        film.enter(x, "x-enter")
        film.pause("x-enter")
    if design.on_floor:
        film.take(putter, tale.things[0], "pick-up")
        film.pause("pick-up", 0.1, 0.3)
    film.put(putter, tale.things[0], tale.boxes[0], "put")
    film.pause("put")
    tale.wishes(late=False)
    tale.gap("before")
    tale.moves(0, design.seen)


def place(tale: Tale) -> None:
    """First-order belief about a place, with its controls."""
    design, film, kind = tale.design, tale.film, tale.kind
    x, path = tale.names[X], tale.boxes[: design.moves + 1]
    _setting(tale)
    knows = kind in TRUE_KINDS
    stays = kind == "true_belief"
    if not stays:
        film.go(x, design.cause, "go")
        film.pause("go")
    if kind == "uninformative" and design.noise == "peek_before":
        film.peek_end(film.peek(x, "noise"), "noise")
        film.pause("noise")
    tale.gap("away")
    if kind == "came_back":
        film.back(x, design.cause, "back-early")
        film.pause("back-early")
    peek = film.peek(x, "peek") if kind == "peeked" else None
    tale.moves(design.seen, design.moves)
    if peek is not None:
        film.feel(x, "surprise", film.now - 0.9, 1.2)
        film.peek_end(peek, "peek")
        film.pause("peek")
    if design.late:
        film.enter(tale.names[W], "w-enter")
        film.pause("w-enter")
    # She who saw the move goes now, so that she, too, is away while this and that happens.
    if stays or (kind == "came_back" and not design.in_view):
        film.go(x, design.cause, "go" if stays else "go-again")
        film.pause("go")
    tale.gap("after")
    if kind == "told_other":
        film.tell(tale.names[M], tale.names[W], tale.things[0], path[-1], "noise")
        film.pause("noise")
    visits = kind in ("transparent", "told")
    if (design.in_view and kind != "came_back") or visits:
        film.back(x, design.cause, "back")
        film.pause("back", 0.3, 0.7)
    if visits:
        _learn(tale, path[-1])
    if kind == "uninformative" and design.noise != "peek_before":
        _noise(tale)
    if visits and not design.in_view:
        film.go(x, design.cause, "go-again")
        film.pause("go-again")
    tale.thinks = path[-1] if knows else path[design.seen]
    # Nobody in the room notices who looks in at the window.
    tale.expects = path[-1] if knows and kind != "peeked" else path[design.seen]
    tale.end(tale.thinks, path[-1])


def _learn(tale: Tale, real: str) -> None:
    """She is back, and sees the thing in the glass, or is told where it is."""
    film, x = tale.film, tale.names[X]
    if tale.kind == "transparent":
        film.feel(x, "surprise", film.now - 0.2, 1.1)
        film.wait(film.lasts("look", 1.0, 1.3))
    else:
        film.tell(tale.names[tale.design.teller], x, tale.things[0], real, "tell")
        film.feel(x, "nod", film.now - 0.3, 1.0)
        film.pause("tell", 0.5, 0.8)


def _noise(tale: Tale) -> None:
    """Something happens that changes nothing for the thing and for who knows of it."""
    design, film, noise = tale.design, tale.film, tale.design.noise
    mover = tale.names[M]
    if noise == "stroll":
        other = tale.names[B if design.people > 3 else W]
        film.leave(other, "noise-leave")
        film.pause("noise-leave")
        film.enter(other, "noise")
    elif noise == "open_other":
        film.open(mover, tale.boxes[design.moves + 1], "noise")
    elif noise == "second" and (target := _spare(tale)) is not None:
        if film.inside[tale.things[1]] not in tale.boxes:
            film.take(mover, tale.things[1], "noise-take")
            film.put(mover, tale.things[1], target, "noise")
        else:
            film.move(mover, tale.things[1], target, "noise")
    else:
        film.idle(mover, "wave", film.lasts("noise", 1.6, 2.2), "noise")
    film.pause("noise")


def _spare(tale: Tale) -> str | None:
    """A container for the second thing in which the believer will not look for the first."""
    taken = (tale.boxes[tale.design.seen], tale.film.inside[tale.things[1]])
    return next((box for box in tale.boxes if box not in taken), None)


def second_order(tale: Tale) -> None:
    """What the mover thinks that the believer thinks: she may look in at the window, and he may notice."""
    design, film, kind = tale.design, tale.film, tale.kind
    x, m, path = tale.names[X], tale.names[M], tale.boxes[: design.moves + 1]
    _setting(tale)
    film.leave(x, "go")
    film.pause("go")
    tale.gap("away")
    peek = film.peek(x, "peek") if kind != "unseen" else None
    if kind in ("seen_peek", "missed_peek"):
        film.spot(m, x, "spot")
    else:
        film.idle(m, "look_around", film.lasts("spot", 0.8, 1.0), "glance")
    film.pause("spot", 0.3, 0.6)
    if kind == "missed_peek" and peek is not None:
        film.peek_end(peek, "peek")
        film.pause("peek", 0.4, 0.8)
    tale.moves(design.seen, design.moves)
    if kind in ("secret_peek", "seen_peek") and peek is not None:
        film.feel(x, "surprise", film.now - 0.9, 1.2)
        film.peek_end(peek, "peek")
        film.pause("peek")
    tale.gap("after")
    if design.in_view:
        film.enter(x, "back")
        film.pause("back")
    tale.thinks = path[-1] if kind in TRUE_KINDS else path[design.seen]
    tale.expects = path[-1] if kind in ("seen_peek", "missed_peek") else path[design.seen]
    tale.end(tale.thinks, path[-1])


def testimony(tale: Tale) -> None:
    """A witness tells the truth, lies or errs; a prelude shows whether the believer may trust the witness."""
    design, film = tale.design, tale.film
    base, trusted = tale.kind.split("_", maxsplit=1)[0], not tale.kind.endswith("distrusted")
    x, m, w = tale.names[X], tale.names[M], tale.names[W]
    thing, other = tale.things
    named, unnamed = (tale.boxes[k] for k in _two_of_three(f"{design.key}/prelude"))
    film.wait(film.lasts("settle", 0.4, 0.8))
    film.put(w, other, named if trusted else unnamed, "prelude-put")
    film.pause("prelude-put")
    tale.gap("open")
    film.enter(x, "x-enter")
    film.pause("x-enter", 0.2, 0.5)
    film.tell(w, x, other, named, "prelude-tell")
    film.pause("prelude-tell", 0.2, 0.4)
    looked = film.open(x, named, "prelude-open")
    film.feel(x, "joy" if trusted else "anger", looked.start_s + 0.6, 1.6)
    film.pause("prelude-open", 0.5, 0.9)
    tale.gap("prelude")
    putter = x if design.on_floor and design.putter == X else m
    if design.on_floor:
        film.take(putter, thing, "pick-up")
        film.pause("pick-up", 0.1, 0.3)
    film.put(putter, thing, tale.boxes[0], "put")
    film.pause("put")
    tale.wishes(late=False)
    tale.gap("before")
    film.go(x, design.cause, "go")
    film.pause("go")
    tale.gap("away")
    tale.moves(0, 1)
    tale.gap("between")
    if base == "mistake":
        film.leave(w, "w-leave")
        film.pause("w-leave")
    tale.moves(1, 2)
    if base != "mistake":
        film.leave(w, "w-leave")
        film.pause("w-leave")
    film.enter(w, "w-back")
    film.pause("w-back")
    tale.gap("after")
    film.back(x, design.cause, "back")
    film.pause("back", 0.3, 0.6)
    said = tale.boxes[2 if base == "truth" else 1]
    film.tell(w, x, thing, said, "tell")
    film.feel(x, "nod" if trusted else "doubt", film.now - 0.3, 1.2)
    film.pause("tell", 0.6, 0.9)
    if not design.in_view:
        film.go(x, design.cause, "go-again")
        film.pause("go-again")
    tale.thinks = said if trusted else tale.boxes[0]
    tale.notes.update(said=said, trusted="yes" if trusted else "no")
    tale.end(tale.thinks, tale.boxes[2])


def _two_of_three(key: str) -> tuple[int, int]:
    first = int(unit(f"{key}/first") * 3)
    return first, (first + 1 + int(unit(f"{key}/second") * 2)) % 3


def contents(tale: Tale) -> None:
    """What is in a container that has a picture on it."""
    design, film, kind = tale.design, tale.film, tale.kind
    x, m = tale.names[X], tale.names[M]
    real, pictured = tale.things
    box, spare = tale.boxes[:2]
    film.wait(film.lasts("settle", 0.4, 0.8))
    tale.gap("open")
    film.open(m, box, "show")
    film.pause("show")
    film.enter(x, "x-enter")
    film.pause("x-enter", 0.3, 0.8)
    tale.gap("before")
    if kind == "unexpected":
        film.idle(x, "look_around", film.lasts("look", 1.6, 2.0), "wait")
    else:
        looked = film.open(x, box, "look")
        film.feel(x, "surprise" if kind == "looked" else "joy", looked.start_s + 0.6, 1.3)
    film.pause("look", 0.3, 0.7)
    late = kind == "swap_seen"
    if not late:
        film.go(x, design.cause, "go")
        film.pause("go")
    tale.gap("away")
    if kind in ("swapped", "swap_seen"):
        film.move(m, pictured, spare, "swap-out")
        film.pause("swap-out", 0.1, 0.4)
        film.move(m, real, box, "swap-in")
        film.pause("swap-in")
    if late:
        film.go(x, design.cause, "go")
        film.pause("go")
    tale.gap("after")
    if design.in_view:
        film.back(x, design.cause, "back")
        film.pause("back")
    tale.thinks = real if kind in TRUE_KINDS else pictured
    tale.expects = tale.thinks
    tale.gap("late")
    if design.coda:
        film.pause("search", 0.4, 0.9)
        opened = film.open(x, box, "search")
        film.feel(x, "joy" if tale.thinks == real else "surprise", opened.start_s + 0.6, 1.5)
        film.pause("search")
    tale.gap("end")


TELL: dict[str, Callable[[Tale], None]] = {
    "place": place, "second_order": second_order, "testimony": testimony, "contents": contents,
}  # fmt: skip
