"""The room that stories about minds play in: what is seen and heard from where."""

SIGHT = {
    "room": frozenset(("room",)),
    "nook": frozenset(("nook",)),
    "window": frozenset(("window", "room")),
    "outside": frozenset(("outside", "window")),
}
EARSHOT = {
    "room": frozenset(("room", "nook")),
    "nook": frozenset(("room", "nook")),
    "window": frozenset(("window", "outside")),
    "outside": frozenset(("window", "outside")),
}
