"""Requests of lmms-eval go in, each as an item with the manner in which it is asked; a record of each comes out.

Asking itself is `eval.asking.Worker`, as in our own runs, so that the same question gets the same record. Its folder
of records and traces is a temporary one unless the user names one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.asking import Job, Worker
from eval.item import Item, Record, groups_of
from eval.lmms.docs import Manner


@dataclass(frozen=True, slots=True)
class Request:
    """One question.

    Attributes:
        item: What is asked; holds no truth. Its key is unique among all requests.
        manner: How.
    """

    item: Item
    manner: Manner


class Asker(Worker):
    """A worker that is told for each question how to ask it."""

    def __init__(self, job: Job) -> None:
        """Loads the model.

        Args:
            job: Who is asked; its plan and settings win over a request's manner where they say anything.

        Raises:
            InputError: The model cannot be loaded.
        """
        super().__init__(job)
        self._told = job

    def ask_all(self, requests: Sequence[Request], done: Callable[[], Any]) -> dict[str, Record]:
        """Asks everything, those on one video together, whatever order they come in.

        Args:
            requests: The questions; of several with one key the first is asked.
            done: Is called after each question.

        Returns:
            Records by the items' keys.
        """
        by_manner: dict[Manner, dict[str, Item]] = {}
        seen: set[str] = set()
        for request in requests:
            if request.item.key not in seen:
                seen.add(request.item.key)
                by_manner.setdefault(request.manner, {})[request.item.key] = request.item
        records: dict[str, Record] = {}
        for manner, items in by_manner.items():
            self._job = in_manner(self._told, manner)
            for group in groups_of(items.values()):
                for record in self.ask(group):
                    records[record["key"]] = record
                    done()
        return records


def in_manner(job: Job, manner: Manner) -> Job:
    """The job as one benchmark wants it; what the user says of it wins, except that a moment is never answered."""
    settings = job.settings
    if manner.unit_s is not None and settings.unit_s == type(settings)().unit_s:
        settings = replace(settings, unit_s=manner.unit_s)
    if manner.min_clip_s is not None and settings.min_clip_s is None:
        settings = replace(settings, min_clip_s=manner.min_clip_s)
    plan = manner.plan if job.plan == "auto" or manner.plan == "moment" else job.plan
    return replace(job, plan=plan, settings=settings)
