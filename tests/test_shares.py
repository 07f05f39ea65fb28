"""Whatever happens to workers, a sheet ends with one record for each question."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from eval.engines.shares import NewRecords, Sheet, give_up
from eval.item import Record
from tests.fake_workers import groups, keys


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.sampled_from("rrrldw"), max_size=60))
def test_each_question_gets_one_record_whatever_happens(sizes: list[int], events: list[str]) -> None:
    """r: a record is told; w: one is written and not told; l: its worker is lost; d: it says it is through."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        several = groups(*[["fine"] * size for size in sizes])
        sheet = Sheet(folder, several, losses=2)
        given_records: list[Record] = []
        share = sheet.next()
        for event in [*events, *("r" * 100)]:
            if share is None:
                break
            waiting = [item for item in share.group.items if item.key not in {one["key"] for one in given_records}]
            if event in "rw" and waiting:
                record = give_up(folder, waiting[:1], "asked")[0]
                if event == "r" and sheet.take(record):
                    given_records.append(record)
            if event in "ld" or not waiting:
                given_records += sheet.lost(share, "signal 9")
                share = sheet.next()
        given_records += [] if share is None else sheet.lost(share, "signal 9")
        while (share := sheet.next()) is not None:
            given_records += sheet.lost(share, "signal 9")
        assert sheet.left == 0
        assert Counter(record["key"] for record in given_records) == Counter(keys(several))


def test_long_videos_come_first() -> None:
    with tempfile.TemporaryDirectory() as name:
        sheet = Sheet(Path(name), groups(["fine"], ["fine"] * 3, ["fine"] * 2), losses=2)
        order = [sheet.next() for _ in range(4)]
    assert [share and share.group.video for share in order] == ["v1", "v2", "v0", None]


def test_records_of_before_and_half_lines_are_not_new(tmp_path: Path) -> None:
    (group,) = groups(["fine"] * 3)
    give_up(tmp_path, group.items[:1], "before")
    new = NewRecords(tmp_path)
    assert list(new.read()) == []
    give_up(tmp_path, group.items[1:2], "since")
    path = tmp_path / "shards" / "other-1.jsonl"
    line = json.dumps({"key": "v0-2"})
    path.write_text(line[:5], encoding="utf-8")
    assert [record["key"] for record in new.read()] == ["v0-1"]
    path.write_text(f"{line}\n", encoding="utf-8")
    assert [record["key"] for record in new.read()] == ["v0-2"]
    assert list(new.read()) == []
