"""Videos in training: surveys that are kept, features on disk, and passes whose videos turn out broken."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.eyes import CLIP_MEAN, CLIP_STD
from adapters.frames import open_video
from adapters.loading import choose_placement, load_base
from adapters.tokens import Tokens
from adapters.train import videos as videos_module
from adapters.train.data import untracked
from adapters.train.dataset import PassDataset
from adapters.train.features import FeatureStore, fill_store, read_clip, tower_id
from adapters.train.packing import ClipKey
from adapters.train.plan import PlannedPass
from adapters.train.recipe import Sample
from adapters.train.videos import appending, look, survey
from adapters.vision import encode
from prompts import Part, own_prompts
from roles import grounder
from roles.errors import DataError, VideoError
from roles.types import Video
from tests.videos import cut_off, make_folder, make_video

ORACLE = Path(__file__).parent / "data" / "oracle"
FILMS = ORACLE / "videos"
PIXELS = (CLIP_MEAN, CLIP_STD)


def clip_of(path: Path) -> ClipKey:
    """The grounder's clip of a film."""
    with open_video(path) as file:
        video = file.video
    return ClipKey.of(grounder.request(video, None, "a query", own_prompts()).clip)


# --- surveys ------------------------------------------------------------------------------------------------------


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which videos were opened, in order."""
    opened: list[str] = []

    def note(path: str) -> dict[str, Any]:
        opened.append(path)
        return look(path)

    monkeypatch.setattr(videos_module, "look", note)
    return opened


@pytest.mark.parametrize("workers", [0, 2])
def test_a_survey_tells_what_is_known_of_each_video_and_which_are_broken(tmp_path: Path, workers: int) -> None:
    good, folder = make_video(tmp_path / "a.mp4", 2), make_folder(tmp_path / "frames")
    (tmp_path / "b.mp4").write_bytes(b"no film")
    paths = [str(tmp_path / name) for name in ("missing.mp4", "a.mp4", "b.mp4", "frames", "a.mp4")]
    videos, broken = survey(paths, tmp_path / "out" / "videos.jsonl", workers, untracked)
    with open_video(good) as film, open_video(folder) as pictures:
        assert videos == {str(good): film.video, str(folder): pictures.video}
    assert [one.path for one in broken] == [paths[0], paths[2]]
    assert "no such file" in broken[0].reason
    assert all("\n" not in one.reason for one in broken)


def test_a_second_survey_opens_only_what_is_new_changed_or_was_broken(tmp_path: Path, looked: list[str]) -> None:
    kept = tmp_path / "videos.jsonl"
    same, changed = make_video(tmp_path / "a.mp4", 2), make_video(tmp_path / "b.mp4", 2)
    mended = tmp_path / "c.mp4"
    mended.write_bytes(b"no film")
    paths = [str(path) for path in (same, changed, mended)]
    _, broken = survey(paths, kept, 0, untracked)
    assert [one.path for one in broken] == [str(mended)]
    make_video(changed, 4)
    make_video(mended, 3)
    new = make_video(tmp_path / "d.mp4", 2)
    looked.clear()
    videos, broken = survey([*paths, str(new)], kept, 0, untracked)
    assert looked == [str(changed), str(mended), str(new)]
    assert not broken
    assert videos[str(changed)].duration_s == pytest.approx(4)
    looked.clear()
    again, _ = survey([*paths, str(new)], kept, 0, untracked)
    assert not looked
    assert again == videos
    assert list(again) == [*paths, str(new)]


def test_a_survey_that_was_killed_while_it_wrote_loses_one_video_at_most(tmp_path: Path, looked: list[str]) -> None:
    kept = tmp_path / "videos.jsonl"
    paths = [str(make_video(tmp_path / f"{name}.mp4", 2)) for name in "abc"]
    survey(paths[:2], kept, 0, untracked)
    content = kept.read_bytes()
    kept.write_bytes(content[:-20])
    looked.clear()
    survey(paths, kept, 0, untracked)
    assert looked == paths[1:]
    looked.clear()
    videos, _ = survey(paths, kept, 0, untracked)
    assert not looked
    assert list(videos) == paths


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "3",
        '"path"',
        '{"path": ["x"]}',
        '{"path": "p"}',
        '{"path": "p", "stamp": 1, "video": {"odd": 1}}',
        "{",
    ],
)
def test_what_an_older_version_kept_is_looked_at_anew(tmp_path: Path, line: str) -> None:
    path = str(make_video(tmp_path / "a.mp4", 2))
    kept = tmp_path / "videos.jsonl"
    stamp = [os.stat(path).st_size, os.stat(path).st_mtime_ns]  # noqa: PTH116
    kept.write_text(line.replace('"p"', json.dumps(path)).replace("1,", f"{stamp},") + "\n", encoding="utf-8")
    videos, broken = survey([path], kept, 0, untracked)
    assert list(videos) == [path]
    assert not broken


@pytest.mark.parametrize("name", ["a\u2028b.mp4", "a\x85b.mp4", "fil m\u00e9.mp4", "a\nb.mp4"])
def test_odd_names_are_kept_and_found_again(tmp_path: Path, looked: list[str], name: str) -> None:
    path = str(make_video(tmp_path / name, 2))
    for _ in range(2):
        videos, _ = survey([path], tmp_path / "videos.jsonl", 0, untracked)
        assert list(videos) == [path]
    assert looked == [path]


def test_a_name_that_is_no_unicode_is_kept_as_well(tmp_path: Path, looked: list[str]) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.mp4")
    make_video(tmp_path / "a.mp4", 2).rename(path)
    for _ in range(2):
        videos, _ = survey([path], tmp_path / "videos.jsonl", 0, untracked)
        assert list(videos) == [path]
    assert looked == [path]


def test_a_survey_that_cannot_be_kept_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/videos\.jsonl: cannot be written \(.*\); name another --out"):
        survey([str(FILMS / "v4.mp4")], tmp_path / "file" / "videos.jsonl", 0, untracked)
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="folder: cannot be written"):
        survey([str(FILMS / "v4.mp4")], tmp_path / "folder", 0, untracked)


def test_a_decoder_that_crashes_ends_the_survey_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(path: str) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return look(path)

    monkeypatch.setattr(videos_module, "look", crash)
    with pytest.raises(
        DataError, match=r"^looking at videos: a worker process died \(DataLoader worker .*\)"
    ) as raised:
        survey([str(FILMS / "v4.mp4")], tmp_path / "videos.jsonl", 1, untracked)
    assert "\n" not in str(raised.value)


def test_errors_that_are_no_crash_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^our own$"), videos_module.dead_workers_named("x"):
        raise RuntimeError("our own")


@given(st.binary(max_size=60), st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=3))
@settings(max_examples=30)
def test_what_is_appended_after_a_torn_line_can_be_read(tmp_path_factory: Any, torn: bytes, lines: list[Any]) -> None:
    kept = tmp_path_factory.mktemp("kept") / "deep" / "kept.jsonl"
    kept.parent.mkdir()
    kept.write_bytes(torn)
    with appending(kept) as keep:
        for line in lines:
            keep(line)
    assert kept.read_bytes().startswith(torn)
    own = kept.read_bytes()[len(torn) :].split(b"\n")
    assert [json.loads(line) for line in own if line] == lines


# --- features on disk ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tower() -> Any:
    """The vision tower of the small base."""
    return load_base(ORACLE / "base", choose_placement("cpu", "float32", "sdpa")).model.visual


def counting(done: list[int]) -> Any:
    def track(items: Iterable[Any], _what: str, total: int) -> Iterable[Any]:
        done.append(total)
        return items

    return track


@pytest.mark.parametrize("workers", [0, 2])
def test_kept_features_are_those_of_the_tower(tmp_path: Path, tower: Any, workers: int) -> None:
    store = FeatureStore(tmp_path / "deep" / "features", tower_id(tower, PIXELS))
    keys = [clip_of(FILMS / name) for name in ("v1.mp4", "v4.mp4", "v1.mp4")]
    done: list[int] = []
    assert fill_store(store, keys, tower, PIXELS, workers, counting(done)) == {}
    for key in keys:
        mean, std = (torch.tensor(values) for values in PIXELS)
        with torch.inference_mode():
            torch.testing.assert_close(store.load(key), encode(tower, read_clip(key), mean, std), rtol=0, atol=0)
    assert fill_store(store, keys, tower, PIXELS, workers, counting(done)) == {}
    assert done == [2]  # each clip once, and none the second time
    assert not list(store.folder.rglob("*.partial"))


def test_clips_that_cannot_be_decoded_are_named_and_the_others_kept(tmp_path: Path, tower: Any) -> None:
    store = FeatureStore(tmp_path / "features", tower_id(tower, PIXELS))
    good, bad, gone = (make_video(tmp_path / f"{name}.mp4", 4) for name in ("good", "bad", "gone"))
    keys = [clip_of(path) for path in (good, bad, gone)]
    bad.write_bytes(b"no film any more")
    gone.unlink()
    broken = fill_store(store, keys, tower, PIXELS, 0, untracked)
    assert [Path(key.path).name for key in sorted(broken, key=lambda key: key.path)] == ["bad.mp4", "gone.mp4"]
    assert "no such file" in broken[keys[2]]
    assert store.has(keys[0])
    assert not store.has(keys[1])
    with pytest.raises(VideoError, match="no such file"):
        FeatureStore(tmp_path / "features", tower_id(tower, PIXELS)).has(
            replace(keys[2], path=str(tmp_path / "no.mp4"))
        )


def test_half_a_file_of_features_counts_as_none_and_is_made_anew(tmp_path: Path, tower: Any) -> None:
    store = FeatureStore(tmp_path, tower_id(tower, PIXELS))
    key = clip_of(FILMS / "v4.mp4")
    fill_store(store, [key], tower, PIXELS, 0, untracked)
    whole = store.load(key).clone()  # what is loaded is the file itself, in memory
    for content in (b"", store.path(key).read_bytes()[:-100], b"\0" * 200):
        store.path(key).unlink()
        store.path(key).write_bytes(content)
        assert not store.has(key)
        fill_store(store, [key], tower, PIXELS, 0, untracked)
        assert torch.equal(store.load(key), whole)


def test_what_features_depend_on_names_their_file(tmp_path: Path, tower: Any) -> None:
    name = tower_id(tower, PIXELS)
    film = make_video(tmp_path / "a.mp4", 4)
    key = clip_of(film)
    path = FeatureStore(tmp_path, name).path(key)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    other = make_video(tmp_path / "other.mp4", 4, fps=8)
    differing = [
        replace(key, indices=(*key.indices[:-1], 0)),
        replace(key, height_px=key.height_px + 28),
        replace(key, width_px=key.width_px + 28),
        replace(key, path=str(other)),
    ]
    assert FeatureStore(tmp_path, name).path(replace(key, path=str(copy))) == path  # by content, not by name
    others = {FeatureStore(tmp_path, name).path(one) for one in differing}
    others.add(FeatureStore(tmp_path, name + "x").path(key))
    assert len(others | {path}) == 6


def test_another_tower_has_another_name(tower: Any) -> None:
    name = tower_id(tower, PIXELS)
    assert tower_id(tower, PIXELS) == name
    assert tower_id(tower, ((0.5, 0.5, 0.5), CLIP_STD)) != name
    half = torch.nn.Linear(2, 2)
    names = {tower_id(half, PIXELS)}
    names.add(tower_id(half.to(torch.bfloat16), PIXELS))
    with torch.no_grad():
        half.weight[0, 0] += 1
    names.add(tower_id(half, PIXELS))
    assert len(names) == 3


def test_a_folder_that_cannot_hold_features_is_refused_before_anything_is_encoded(tmp_path: Path, tower: Any) -> None:
    (tmp_path / "file").touch()

    def never(*_args: Any) -> Any:
        raise AssertionError("encoding began")

    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        store = FeatureStore(folder, tower_id(tower, PIXELS))
        with pytest.raises(DataError, match=r"features cannot be kept \(.*\); make room, or name another folder"):
            fill_store(store, [clip_of(FILMS / "v4.mp4")], tower, PIXELS, 0, never)


def test_a_full_disk_stops_the_filling_with_one_line_and_leaves_nothing_half(
    tmp_path: Path, tower: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    def full(_tensors: Any, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise safetensors.SafetensorError("Error while serializing: IoError(No space left on device)\nmore")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    store = FeatureStore(tmp_path / "features", tower_id(tower, PIXELS))
    with pytest.raises(DataError, match="No space left on device") as raised:
        fill_store(store, [clip_of(FILMS / "v4.mp4")], tower, PIXELS, 0, untracked)
    assert "\n" not in str(raised.value)
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


# --- passes -------------------------------------------------------------------------------------------------------


@dataclass
class Films:
    """Samples, one for each film."""

    videos: list[Video]

    def __len__(self) -> int:
        return len(self.videos)

    def sample(self, number: int, epoch: int) -> Sample:
        request = grounder.request(self.videos[number], None, f"what is in film {number}", own_prompts())
        return Sample(request, Part(f"Round {epoch}.", trusted=False))


@pytest.fixture
def films(tmp_path: Path) -> Films:
    paths = [make_video(tmp_path / f"{number}.mp4", 4, gop=3 + number) for number in range(4)]
    found = []
    for path in paths:
        with open_video(path) as file:
            found.append(file.video)
    return Films(found)


def dataset_of(films: Films, *passes: tuple[int, ...], store: FeatureStore | None = None) -> PassDataset:
    planned = [PlannedPass(tuple(range(len(one))), one, 0, 0.5) for one in passes]
    return PassDataset(planned, films, Tokens(ORACLE / "videomind"), 28, store)


def texts(dataset: PassDataset, number: int) -> str:
    return dataset.tokens.decode(dataset[number].ids.tolist())


def test_a_pass_holds_the_samples_that_were_planned_each_of_its_round(films: Films) -> None:
    dataset = dataset_of(films, (2, 0), (1,))
    assert len(dataset) == 2
    made = dataset[0]
    assert made.samples == 2
    assert made.weight == 0.5
    assert made.broken == ()
    assert len(made.clips) == 2
    assert torch.equal(made.clips[0], read_clip(ClipKey.of(films.sample(2, 0).request.clip)))
    text = texts(dataset, 0)
    for part in ("what is in film 2", "Round 0.", "what is in film 0", "Round 1."):
        assert part in text
        text = text[text.index(part) :]


def test_a_video_that_breaks_after_all_is_replaced_in_place_and_named(films: Films) -> None:
    for number in (1, 2):
        Path(films.videos[number].path).write_bytes(b"gone bad")
    dataset = dataset_of(films, (0, 1, 2), (0,))
    made = dataset[0]
    assert made.samples == 3
    assert [path for path, _ in made.broken] == [films.videos[1].path, films.videos[2].path]
    assert all(reason and "\n" not in reason for _, reason in made.broken)
    text = texts(dataset, 0)
    assert text.count("what is in film 3") == 2
    assert "what is in film 1" not in text
    assert dataset[1].broken == ()
    again = dataset[0]
    assert torch.equal(again.ids, made.ids)


def test_a_film_that_lost_its_index_is_replaced(films: Films) -> None:
    cut_off(Path(films.videos[0].path), 0.5)
    [(path, reason)] = dataset_of(films, (0,))[0].broken
    assert path == films.videos[0].path
    assert "the file is incomplete" in reason


def test_no_video_left_is_an_error_of_one_line(films: Films) -> None:
    for video in films.videos:
        Path(video.path).unlink()
    with pytest.raises(VideoError, match=r"^none of the 4 videos can be read any more; the first: .*0\.mp4: no such"):
        dataset_of(films, (0,))[0]


def test_kept_features_stand_in_for_frames(films: Films, tmp_path: Path, tower: Any) -> None:
    store = FeatureStore(tmp_path / "features", tower_id(tower, PIXELS))
    fill_store(store, [ClipKey.of(films.sample(0, 0).request.clip)], tower, PIXELS, 0, untracked)
    made = dataset_of(films, (0, 1), store=store)[0]
    assert made.clips[0].dtype == torch.float32
    assert torch.equal(made.clips[0], store.load(ClipKey.of(films.sample(0, 0).request.clip)))
    assert made.clips[1].dtype == torch.uint8  # not kept: decoded
    plain = dataset_of(films, (0, 1))[0]
    assert torch.equal(made.ids, plain.ids)
    assert torch.equal(made.positions, plain.positions)
