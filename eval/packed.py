"""An archive of texts goes in; the texts that are missing beside it come out of it."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path


def unpack(archive: Path) -> None:
    """Unpacks what is not there yet, beside the archive.

    Several processes may do this at once: each file appears whole or not at all.
    """
    with tarfile.open(archive) as packed:
        missing = [name for name in packed.getnames() if not (archive.parent / name).is_file()]
        if not missing:
            return
        with tempfile.TemporaryDirectory(dir=archive.parent) as place:
            packed.extractall(place, filter="data")
            for name in missing:
                (Path(place) / name).replace(archive.parent / name)
