"""Plots: matched sets differ by one change, everybody thinks what was meant, and nothing else tells the films apart."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from eval.worlds import art, check, design, layout, mirror, plot, splits
from eval.worlds.scene import NOOK, OUTSIDE, ROOM, WINDOW, YARD, Beat, Scene
from roles.errors import DataError
from roles.minds import Minds

STARTS = tuple(first for first, _ in splits.RANGES.values())
SEEDS = tuple(start + number for start in STARTS for number in range(30))


@pytest.fixture(scope="module")
def films() -> dict[tuple[int, str], Scene]:
    """The films of 120 sets, of all splits."""
    return {(seed, kind): plot.scene(seed, kind) for seed in SEEDS for kind in plot.members(seed)}


@pytest.fixture(scope="module")
def designs() -> list[design.Design]:
    """What 2,000 sets drew."""
    return [design.design(seed, design.family_of(seed), None, None, None) for seed in range(2000)]


def near(share: float, wanted: float, count: int) -> bool:
    """Whether a share is within four standard errors of what it should be."""
    return abs(share - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / count)


@pytest.mark.parametrize("family", list(design.FAMILIES))
def test_in_every_kind_of_any_seed_everybody_thinks_what_the_plot_intends(family: str) -> None:
    for seed in (*range(15), *range(30_000_000, 30_000_015)):
        for kind in plot.all_kinds(family):
            plot.scene(seed, kind, length_s=40 if seed % 2 else None)


def test_the_check_notices_a_mind_that_is_not_as_intended() -> None:
    scene = next(s for s in (plot.scene(seed, "false_belief") for seed in range(50)) if not s.coda)
    away = scene.facts["event.go"]
    stays = replace(
        scene, story=replace(scene.story, events=tuple(event for event in scene.story.events if event.id != away))
    )
    with pytest.raises(check.PlotError, match=r"seed \d+, kind false_belief: the believer's belief is"):
        check.verify(stays)


def test_a_peek_that_nobody_notices_stays_secret_and_a_missed_leaving_misleads() -> None:
    for seed in range(6):
        cast = plot.scene(seed, "secret_peek").cast
        thing, (m, x) = ("in", cast.thing), (cast.mover, cast.believer)
        thoughts = {}
        for kind in plot.all_kinds("second_order"):
            minds = Minds(plot.scene(seed, kind).story)
            first, second = minds.belief(x, fact=thing), minds.belief(m, x, fact=thing)
            assert first is not None
            assert second is not None
            thoughts[kind] = (first.value == cast.path[-1], second.value == cast.path[-1])
        assert thoughts == {
            "unseen": (False, False),
            "secret_peek": (True, False),
            "seen_peek": (True, True),
            "missed_peek": (False, True),
        }


def test_half_of_each_set_believes_what_is_so_except_where_somebody_testifies(
    films: dict[tuple[int, str], Scene],
) -> None:
    for seed in SEEDS:
        members = plot.members(seed)
        true = sum(films[seed, kind].facts["believes"] == "true" for kind in members)
        assert true == (1 if plot.family_of(seed) == "testimony" else len(members) // 2)


def test_constant_strategies_are_right_in_exactly_half_of_each_set(films: dict[tuple[int, str], Scene]) -> None:
    for seed in SEEDS:
        if plot.family_of(seed) not in ("place", "second_order"):
            continue
        scenes = [films[seed, kind] for kind in plot.members(seed)]
        offered = {scene.cast.offered for scene in scenes}
        assert len(offered) == 1
        thoughts = [scene.facts["thinks"] for scene in scenes]
        for place in offered.pop():
            assert thoughts.count(place) == len(scenes) / 2
        for scene in scenes:
            in_view = scene.facts["in_view"] == "yes"
            assert in_view == (scenes[0].facts["in_view"] == "yes")


def test_testimony_is_believed_by_those_who_trust_only() -> None:
    for seed in range(5):
        for kind in plot.all_kinds("testimony"):
            scene = plot.scene(seed, kind)
            said = scene.cast.path[2 if kind.startswith("truth") else 1]
            assert scene.facts["thinks"] == (scene.cast.path[0] if kind.endswith("distrusted") else said)
            assert set(scene.cast.offered) == {said, scene.cast.path[0]}


def test_the_films_of_a_set_share_cast_look_length_and_layout(films: dict[tuple[int, str], Scene]) -> None:
    for seed in SEEDS:
        scenes = {kind: films[seed, kind] for kind in plot.members(seed)}
        first = next(scene for kind, scene in scenes.items() if kind not in ("renamed", "mirrored"))
        for kind, scene in scenes.items():
            assert scene.duration_s == pytest.approx(first.duration_s, abs=0.3)
            assert replace(scene.look, seed=0, camera=first.look.camera) == replace(first.look, seed=0)
            if kind not in ("renamed", "mirrored"):
                assert scene.stages == first.stages
                assert [replace(p, place="") for p in scene.people] == [replace(p, place="") for p in first.people]
            if kind != "mirrored":
                assert [(c.name, c.x) for c in scene.containers] == [(c.name, c.x) for c in first.containers]


def test_renaming_changes_names_and_initials_and_nothing_else() -> None:
    for seed in range(12):
        plain, other = plot.scene(seed, "false_belief"), plot.scene(seed, "renamed")
        names = dict(zip(plain.story.people, other.story.people, strict=True))
        assert not {name[0] for name in names} & {name[0] for name in names.values()}
        assert [replace(p, name=names[p.name]) for p in plain.people] == list(other.people)
        assert [(b.start_s, b.end_s, b.x_to, names[b.person]) for b in plain.beats] == [
            (b.start_s, b.end_s, b.x_to, b.person) for b in other.beats
        ]


def test_mirroring_twice_gives_the_same_scene_and_keeps_the_story() -> None:
    for seed in range(12):
        plain, other = plot.scene(seed, "false_belief"), plot.scene(seed, "mirrored")
        assert other.story == plain.story
        assert other.facts["door"] != plain.facts["door"]
        back = mirror.mirrored(other)
        assert [round(b.x_to, 3) for b in back.beats] == [round(b.x_to, 3) for b in plain.beats]
        assert back.stages[0].nook_side == plain.stages[0].nook_side
        assert back.stages[0].door_x == pytest.approx(plain.stages[0].door_x)


def test_the_same_seed_gives_the_same_scene_in_another_process() -> None:
    code = (
        "from eval.worlds import plot\n"
        "for seed in (3, 11, 30000001):\n"
        "    for kind in plot.members(seed):\n"
        "        s = plot.scene(seed, kind)\n"
        "        print(s.story.events, list(s.story.initial.items()), s.beats, s.reactions, s.people, s.containers)\n"
        "        print(s.things, s.stages, s.shots, s.duration_s, s.cast, s.look, s.facts)\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop()) > 10_000


def test_people_walk_on_from_where_they_stood_and_do_one_thing_at_a_time(films: dict[tuple[int, str], Scene]) -> None:
    for scene in films.values():
        where = {person.name: person.x for person in scene.people}
        busy_until = dict.fromkeys(where, 0.0)
        for beat in scene.beats:
            assert beat.start_s >= busy_until[beat.person] - 1e-6, (scene.id, beat)
            if beat.kind not in ("enter", "peek"):
                assert beat.x_from == pytest.approx(where[beat.person], abs=0.002), (scene.id, beat)
            where[beat.person] = beat.to_x if beat.kind == "move" else beat.x_to
            busy_until[beat.person] = beat.end_s


def test_times_are_in_order_and_within_the_film(films: dict[tuple[int, str], Scene]) -> None:
    for scene in films.values():
        events = {event.id: event for event in scene.story.events}
        for beat in scene.beats:
            event = events[beat.event]
            assert (beat.start_s, beat.end_s, beat.person) == (event.start_s, event.end_s, event.actor)
            steps = [beat.start_s, beat.walk_end_s, beat.end_s]
            if beat.kind == "move":
                steps[2:2] = [beat.take_end_s, beat.carry_end_s]
            assert steps == sorted(steps)
            assert all(round(step, 2) == step for step in steps)
        assert max(event.end_s for event in events.values()) <= scene.duration_s - 0.59


def test_a_peek_holds_wholly_what_is_peeked_at(films: dict[tuple[int, str], Scene]) -> None:
    peeked = [scene for scene in films.values() if scene.kind in ("peeked", "secret_peek", "seen_peek")]
    assert peeked
    for scene in peeked:
        events = {event.id: event for event in scene.story.events}
        peek, last = events[scene.facts["event.peek"]], events[scene.facts[f"event.move{scene.facts['moves']}"]]
        assert peek.start_s + 0.5 <= last.start_s < last.end_s <= peek.end_s
        assert peek.end_s - peek.start_s >= 2.4 / 1.3


def test_interludes_are_seen_and_the_room_waits_meanwhile(films: dict[tuple[int, str], Scene]) -> None:
    cuts = 0
    for scene in films.values():
        assert [a.end_s for a in scene.shots[:-1]] == [b.start_s for b in scene.shots[1:]]
        assert (scene.shots[0].start_s, scene.shots[-1].end_s) == (0.0, scene.duration_s)
        for event in scene.story.events:
            place = YARD if event.place == YARD else ROOM
            shot = next(shot for shot in scene.shots if shot.start_s <= event.start_s < shot.end_s)
            assert shot.place == place
            assert event.end_s <= shot.end_s
        cuts += len(scene.shots) > 1
    assert cuts > 20


def test_everything_stands_where_the_art_can_show_it(films: dict[tuple[int, str], Scene]) -> None:
    rules = art.LAYOUT
    for scene in films.values():
        stage = scene.stages[0]
        boxes = sorted(box.x for box in scene.containers if box.place == ROOM)
        assert all(b - a >= rules.container_gap - 1e-3 for a, b in pairwise(boxes))
        assert rules.container_margin - 1e-3 <= boxes[0] < boxes[-1] <= stage.width - rules.container_margin + 1e-3
        assert abs(stage.door_x - stage.window_x) >= rules.door_window_gap - 1e-3
        assert rules.window_margin <= stage.window_x <= stage.width - rules.window_margin
        assert rules.door_margin <= stage.door_x <= stage.width - rules.door_margin
        if stage.screen_x is not None:
            assert min(abs(x - stage.screen_x) for x in boxes) >= rules.screen_container_gap - 1e-3
            assert abs(stage.door_x - stage.screen_x) >= rules.screen_door_gap - 1e-3
        places = {box.name: box.x for box in scene.containers}
        yard = {person.name for person in scene.people if person.place == YARD}
        for beat in scene.beats:
            if beat.person in yard and beat.kind == "leave":
                assert not -0.2 < beat.x_to < stage.width + 0.2
                continue
            assert rules.person_margin <= beat.x_to <= stage.width - rules.person_margin
            if beat.kind in ("put", "take", "open", "move") and beat.container is not None:
                assert abs(places[beat.container] - beat.x_to) <= rules.reach + 1e-3


def test_two_people_do_not_stand_in_one_place(films: dict[tuple[int, str], Scene]) -> None:
    crowded = checked = 0
    for scene in films.values():
        events = {event.id: event for event in scene.story.events}
        spots = {person.name: (person.place, person.x) for person in scene.people}
        for beat in sorted(scene.beats, key=lambda beat: beat.end_s):
            moved = dict(events[beat.event].effects).get(("at", beat.person))
            spots[beat.person] = (str(moved or spots[beat.person][0]), beat.to_x if beat.kind == "move" else beat.x_to)
            if any(_walks(other, beat.end_s) for other in scene.beats):
                continue
            here = sorted(x for place, x in spots.values() if place == ROOM)
            checked += 1
            crowded += any(b - a < art.LAYOUT.person_gap - 0.01 for a, b in pairwise(here))
    assert checked > 1000
    assert crowded <= checked / 1000


def test_where_there_is_room_heads_do_not_touch(films: dict[tuple[int, str], Scene]) -> None:
    near = checked = 0
    for scene in films.values():
        at_first = sorted(person.x for person in scene.people if person.place == ROOM)
        assert all(b - a >= 0.28 for a, b in pairwise(at_first)), scene.id
        here = {person.name for person in scene.people if person.place == ROOM}
        x = {person.name: person.x for person in scene.people}
        for beat in sorted(scene.beats, key=lambda beat: beat.end_s):
            x[beat.person] = beat.to_x if beat.kind == "move" else beat.x_to
            here -= {beat.person} if beat.kind in ("leave", "hide") else set()
            here |= {beat.person} if beat.kind in ("enter", "come_out") and x[beat.person] > 0 else set()
            here -= {person.name for person in scene.people if person.place == YARD}
            if any(_walks(other, beat.end_s) for other in scene.beats):
                continue
            stand = sorted(x[name] for name in here)
            checked += 1
            near += any(b - a < 0.275 for a, b in pairwise(stand))
    assert checked > 1000
    assert near <= checked / 100


def test_the_camera_crops_nobody_and_nothing(films: dict[tuple[int, str], Scene]) -> None:
    for scene in films.values():
        width, camera = scene.stages[0].width, scene.look.camera
        for shift, zoom, up in zip(camera.dx, camera.zoom, camera.dy, strict=True):
            cropped = width / 2 - width / 2 / zoom
            for edge in (cropped + shift, cropped - shift):
                assert -1e-3 <= edge <= layout.CROP
                free = [min(box.x, width - box.x) - 0.125 - edge for box in scene.containers]
                free += [min(p.x, width - p.x) - 0.14 - edge for p in scene.people if p.place in (ROOM, YARD)]
                assert min(free) >= 0
            assert 0.5 - 0.5 / zoom + abs(up) <= 0.025


def test_the_doorway_is_free_when_somebody_goes_through_it(films: dict[tuple[int, str], Scene]) -> None:
    clear = passed = 0
    for scene in films.values():
        door = scene.stages[0].door_x
        main = [person for person in scene.people if person.place != YARD]
        for beat in scene.beats:
            if beat.kind not in ("leave", "enter") or beat.person not in {person.name for person in main}:
                continue
            at_s = beat.end_s - 0.3 if beat.kind == "leave" else beat.start_s + 0.3
            places = {person.name: (person.place, person.x) for person in main if person.name != beat.person}
            for other in scene.beats:
                if other.person in places and other.end_s <= at_s:
                    gone = other.kind in ("leave", "hide", "peek")
                    back = other.kind in ("enter", "come_out")
                    place = OUTSIDE if gone else ROOM if back else places[other.person][0]
                    places[other.person] = (place, other.to_x if other.kind == "move" else other.x_to)
            passed += 1
            clear += all(abs(x - door) > 0.18 for place, x in places.values() if place == ROOM)
    assert passed > 500
    assert clear >= 0.95 * passed


def test_who_has_turned_her_back_stays_where_she_is(films: dict[tuple[int, str], Scene]) -> None:
    turned = walks = 0
    for scene in films.values():
        away: dict[str, bool] = {}
        for beat in scene.beats:
            if beat.kind in ("look_away", "turn_back"):
                away[beat.person] = beat.kind == "look_away"
                turned += away[beat.person]
            elif away.get(beat.person):
                walks += beat.x_from != beat.x_to
    assert turned > 50
    assert walks <= 0.03 * turned


def test_two_pictures_a_second_show_every_event(films: dict[tuple[int, str], Scene]) -> None:
    for scene in films.values():
        for beat in scene.beats:
            acts = [(beat.walk_end_s, beat.end_s)]
            if beat.kind == "move":
                acts = [(beat.walk_end_s, beat.take_end_s), (beat.carry_end_s, beat.end_s)]
            elif beat.kind == "open":
                # What is found is up for half of the time.
                span = beat.end_s - beat.walk_end_s
                acts = [(beat.walk_end_s + 0.29 * span, beat.walk_end_s + 0.79 * span)]
            elif beat.kind in ("enter", "leave", "hide", "come_out"):
                acts = [(beat.start_s, beat.end_s)]
            elif beat.kind in ("idle", "look_away", "turn_back"):
                # She stays turned when the turn is over.
                continue
            for start, end in acts:
                assert end - start >= 0.5, (scene.id, beat)
                shot = next(shot for shot in scene.shots if shot.start_s <= beat.start_s < shot.end_s)
                assert shot.end_s >= end


def test_grain_is_rare_and_strong_grain_is_compressed(designs: list[design.Design]) -> None:
    looks = [one.layout.look for one in designs]
    assert near(sum(look.noise == 0 for look in looks) / len(looks), 0.5, len(looks))
    assert all(0.5 <= look.noise <= 4 for look in looks if look.noise)
    assert all(look.crf >= 29 for look in looks if look.noise > 2)


LONG = tuple(seed for start in STARTS for seed in range(start, start + 120))


@pytest.fixture(scope="module")
def long_films() -> list[Scene]:
    """Two films of every set of a minute or more."""
    sets = [seed for seed in LONG if design.design(seed, design.family_of(seed), None, None, None).lengths[0] >= 60]
    return [plot.scene(seed, kind) for seed in sets for kind in plot.members(seed)[:2]]


def test_long_films_have_lookalikes_of_a_move_and_of_a_leave_in_every_minute(long_films: list[Scene]) -> None:
    assert len(long_films) > 100
    for scene in long_films:
        minutes = int(scene.duration_s / 60)
        moves = [b for b in scene.beats if b.kind == "move" and b.thing not in (scene.cast.thing, *scene.cast.offered)]
        leaves = [b for b in scene.beats if b.kind == "leave" and b.person != scene.cast.believer]
        assert len(moves) >= minutes, scene.id
        assert len(leaves) >= minutes, scene.id


def test_no_shot_is_too_short_to_be_understood(long_films: list[Scene]) -> None:
    for scene in (*long_films, *(plot.scene(seed, "false_belief", length_s=300) for seed in range(12))):
        assert min(shot.end_s - shot.start_s for shot in scene.shots) >= 2.0, scene.id


def test_in_long_films_the_story_is_spread_over_the_film(long_films: list[Scene]) -> None:
    spans = []
    for scene in long_films:
        told = {name for role, name in scene.facts.items() if role.startswith("event.")}
        times = sorted(event.start_s for event in scene.story.events if event.id in told)
        assert max(b - a for a, b in pairwise([0.0, *times, scene.duration_s])) < 0.7 * scene.duration_s, scene.id
        spans.append((times[-1] - times[0]) / scene.duration_s)
    assert sorted(spans)[len(spans) // 10] > 0.5


def test_short_films_are_filled_by_their_story() -> None:
    still = total = 0.0
    for seed in range(60):
        made = design.design(seed, "place", None, None, None)
        if made.lengths != design.LENGTHS["12-20"]:
            continue
        films = [plot.scene(seed, kind) for kind in plot.members(seed) if plot.family_of(seed) == "place"]
        for scene in films:
            total += scene.duration_s
            still += sum(b.end_s - b.start_s for b in scene.beats if b.kind == "idle" and b.act is not None)
    assert total > 0
    assert still < 0.16 * total


def _walks(beat: Beat, time_s: float) -> bool:
    still = beat.kind == "peek" or (beat.kind == "idle" and beat.act is not None)
    return (
        not still and beat.start_s <= time_s <= beat.end_s and beat.end_s > time_s - 1e-9 and beat.x_from != beat.x_to
    )


def test_names_shirts_shapes_and_colours_tell_everybody_and_everything_apart(
    films: dict[tuple[int, str], Scene],
) -> None:
    for scene in films.values():
        for values in (
            [person.name[0] for person in scene.people],
            [person.shirt for person in scene.people],
            [thing.shape for thing in scene.things],
            [thing.colour for thing in scene.things],
            [box.name for box in scene.containers],
        ):
            assert len(set(values)) == len(values)


def test_what_is_held_out_is_in_no_other_split_and_in_every_generalisation_film(
    films: dict[tuple[int, str], Scene],
) -> None:
    for (seed, kind), scene in films.items():
        held = splits.split_of(seed) == "generalisation"
        assert (scene.facts["pattern"] in splits.HELD_LAYOUTS) == held
        for stage in scene.stages:
            assert (stage.palette in splits.HELD_PALETTES) == held
            assert (stage.theme in (*splits.HELD_THEMES, *splits.HELD_YARDS)) == held
        if not held:
            assert kind not in splits.HELD_KINDS
            boxes = [box.shape for box in scene.containers if box.place == ROOM]
            shown = {str(scene.cast.thing)} | ({scene.facts["second"]} - {""})
            shapes = [thing.shape for thing in scene.things if thing.name in shown]
            assert not {(thing, box) for thing in shapes for box in boxes} & splits.HELD_PAIRS
            shirts = [person.shirt for person in scene.people if person.place in (ROOM, OUTSIDE, WINDOW, NOOK)]
            assert not {(shirt, thing) for shirt in shirts for thing in shapes} & splits.HELD_SHIRTS
        elif scene.family == "place":
            assert set(plot.members(seed)) & set(splits.HELD_KINDS)


def test_a_kind_that_is_held_out_never_counts_as_a_training_film() -> None:
    assert plot.scene(1, "came_back").split == "generalisation"
    assert plot.scene(1, "told").split == "train"


def test_families_kinds_and_draws_are_balanced_over_2000_seeds(designs: list[design.Design]) -> None:
    count = len(designs)
    families = Counter(one.family for one in designs)
    assert all(near(families[name] / count, share, count) for name, share in design.FAMILIES.items())
    assert near(sum(one.members[0] in design.TRUE_KINDS for one in designs) / count, 0.5, count)
    assert near(sum(one.in_view for one in designs if not one.coda) / sum(not one.coda for one in designs), 0.5, count)
    assert near(sum(one.swap_offered for one in designs) / count, 0.5, count)
    assert near(sum(one.layout.door_side == "left" for one in designs) / count, 0.5, count)
    assert 0.29 < sum(one.coda for one in designs) / count < 0.39
    assert not any(one.coda for one in designs if one.family == "second_order")
    place = [one for one in designs if one.family == "place"]
    causes = Counter(one.cause for one in place)
    assert near(causes["leave"] / len(place), 0.5, len(place))
    assert near(causes["hide"] / len(place), 0.25, len(place))
    for controls in (("transparent", "told", "peeked"), ("renamed", "mirrored", "unseen_glass", "told_other")):
        for kind in controls:
            assert near(sum(kind in one.members for one in place) / len(place), 1 / len(controls), len(place))
    people = Counter(one.people for one in designs)
    assert min(people[number] for number in (2, 3, 4)) > 0.15 * count
    boxes = Counter(sum(box.place == ROOM for box in one.layout.containers) for one in designs)
    assert min(boxes[2], boxes[3]) > 0.4 * count
    answers = Counter(one.layout.containers[one.moves].shape for one in designs)
    assert all(near(answers[shape] / count, 1 / 8, count) for shape in art.CONTAINER_SHAPES)


def test_lengths_have_their_shares_and_truth_is_independent_of_being_in_view(designs: list[design.Design]) -> None:
    count = len(designs)
    wanted = {"12-20": 0.25, "20-40": 0.35, "40-60": 0.2, "60-120": 0.1, "120-300": 0.1}
    sizes = Counter(next(name for name, bounds in design.LENGTHS.items() if bounds == one.lengths) for one in designs)
    assert all(near(sizes[name] / count, share, count) for name, share in wanted.items())
    both = Counter((one.in_view, one.members[0] in design.TRUE_KINDS) for one in designs if not one.coda)
    assert all(near(number / both.total(), 0.25, both.total()) for number in both.values())


def test_a_film_has_the_length_of_its_class_or_the_one_asked_for(films: dict[tuple[int, str], Scene]) -> None:
    longer = 0
    for (seed, _), scene in films.items():
        bounds = design.design(seed, scene.family, None, None, None).lengths
        assert scene.duration_s >= bounds[0]
        longer += scene.duration_s > bounds[1]
    assert longer <= 0.01 * len(films)
    assert plot.scene(5, "false_belief", length_s=90).duration_s == pytest.approx(90, abs=1.5)
    assert plot.scene(5, "false_belief", aspect="16:9").stages[0].width == pytest.approx(16 / 9, abs=1e-3)


def test_who_comes_back_after_the_search_has_found_the_thing(films: dict[tuple[int, str], Scene]) -> None:
    codas = [scene for scene in films.values() if scene.coda and scene.family != "contents"]
    assert codas
    for scene in codas:
        felt = [r.feeling for r in scene.reactions if r.person == scene.cast.believer][-2:]
        assert felt[-1] == "joy"
        assert ("surprise" in felt) == (scene.facts["thinks"] != scene.facts["reality"]) or scene.kind in (
            "transparent",
            "peeked",
        )


def test_no_face_tells_a_lie_from_a_mistake() -> None:
    for seed in range(8):
        for trust in ("", "_distrusted"):
            lie, mistake = (plot.scene(seed, kind + trust) for kind in ("lie", "mistake"))
            assert [(r.person, r.feeling) for r in lie.reactions] == [(r.person, r.feeling) for r in mistake.reactions]


@pytest.mark.parametrize("seed", [-1, 15_000_000, 40_000_000])
def test_a_seed_of_no_split_is_refused_in_one_line(seed: int) -> None:
    with pytest.raises(DataError, match=f"seed {seed} belongs to no split: choose one of train 0 to 9999999"):
        plot.members(seed)


def test_unknown_kinds_lengths_and_aspects_are_refused() -> None:
    with pytest.raises(DataError, match="no kind 'sally': choose one of false_belief"):
        plot.scene(1, "sally")
    with pytest.raises(DataError, match="choose a length from 5 to 600 s"):
        plot.scene(1, "told", length_s=float("nan"))
    with pytest.raises(DataError, match="no aspect '1:1'"):
        plot.scene(1, "told", aspect="1:1")
    with pytest.raises(DataError, match="no family 'x'"):
        plot.all_kinds("x")


def test_no_mind_changes_by_accident(films: dict[tuple[int, str], Scene]) -> None:
    for scene in films.values():
        if scene.family == "contents":
            continue
        planned = {value for name, value in scene.facts.items() if name.startswith("event.")}
        minds, thing = Minds(scene.story), ("in", scene.cast.thing)
        for chain in ((scene.cast.believer,), (scene.cast.mover,), (scene.cast.mover, scene.cast.believer)):
            turns = {change.event for change in minds.changes(*chain, fact=thing)}
            assert turns <= planned, (scene.id, chain, turns - planned)
