"""An adapters folder goes in, the same adapters in another layout come out.

    python -m adapters.convert --adapters checkpoints/VideoMind-2B --out converted --layout peft

"peft" is what current PEFT and transformers load (`PeftModel.from_pretrained(base, "converted/grounder")`), "videomind"
what VideoMind's own code loads. All roles, the grounder's head, the prompts, the manner and the tokenizer go along.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from roles.errors import CheckpointError, InputError, MindreelError

LAYOUTS = ("peft", "videomind")
"""As in `adapters.export`, which takes seconds to import."""
KEPT_SUFFIXES = (".json", ".jsonl", ".yaml", ".yml", ".md", ".txt", ".png")
"""Further files of a role's folder that go along."""


def convert(
    source: str,
    out: Path,
    layout: str,
    model: str | None = None,
    *,
    own_wording: bool = False,
    compact: bool = True,
) -> list[str]:
    """Writes all adapters of a folder into a new one.

    Args:
        source: A folder or hub id with adapters of either layout.
        out: A folder to make.
        layout: "peft" or "videomind".
        model: The base, a folder or hub id; None takes the one that the adapters name.
        own_wording: Store this package's prompts where the folder brings none.
        compact: Keep single rows in place of full copies where nothing else was changed (layout "peft").

    Returns:
        A line on each role, for a person.

    Raises:
        CheckpointError: Something is missing, does not fit the base, or cannot be written; `out` is then not made.
    """
    from adapters.export import write_adapter
    from adapters.shared_files import CARD_FILE
    from adapters.staging import new_folder
    from adapters.store import FILMS_FILE, base_of, read_adapter_folder, resolve
    from adapters.trained import read_trained

    if out.exists():
        raise CheckpointError(f"{out}: exists already; name a new folder with --out")
    folder = read_adapter_folder(source, own_wording=own_wording)
    named = model if model is not None else base_of(folder)
    base = resolve(named, "base model")
    if model is None and Path(named).is_dir() and not Path(str(folder.config.get("base_model_path"))).is_absolute():
        named = os.path.relpath(named)  # what was named by a relative path is so again
    has_tokenizer = any((folder.folder / name).is_file() for name in ("tokenizer.json", "vocab.json"))
    lines = []
    with new_folder(out) as made:
        for role, files in folder.roles.items():
            adapter = read_trained(files, folder.head, base)
            kept = {
                path.name: path.read_bytes()
                for path in sorted(files.folder.iterdir())
                if path.is_file() and path.suffix in KEPT_SUFFIXES and not path.name.startswith(("adapter_config", "."))
            }
            card = kept.pop(CARD_FILE, b"").decode(errors="replace")
            write_adapter(
                made,
                adapter,
                base=base,
                base_name=named,
                layout=layout,
                prompts=folder.prompts,
                tokens_from=folder.folder if has_tokenizer else base,
                manner=folder.manner,
                card=card,
                files=kept,
                compact=compact,
            )
            lines.append(f"{role}: LoRA rank {adapter.rank}, {_vocabulary(made / role)}")
        if (folder.folder / FILMS_FILE).is_file():
            shutil.copyfile(folder.folder / FILMS_FILE, made / FILMS_FILE)
    return lines


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = _Parser(
        prog="python -m adapters.convert", description="Bring adapters into the layout that PEFT or VideoMind loads."
    )
    parser.add_argument("--adapters", required=True, metavar="DIR", help="folder or hub id with planner/ and the like")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR2", help="folder to make")
    parser.add_argument("--layout", required=True, choices=LAYOUTS)
    parser.add_argument("--model", metavar="BASE", help="base: folder or hub id (the one that the adapters name)")
    parser.add_argument("--own-prompts", action="store_true", help="store our wording where the adapters carry none")
    parser.add_argument("--full", action="store_true", help="keep full copies of the vocabulary where rows would do")
    try:
        args = parser.parse_args(argv)
        lines = convert(
            args.adapters, args.out, args.layout, args.model, own_wording=args.own_prompts, compact=not args.full
        )
    except MindreelError as error:
        print(f"mindreel: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"wrote {args.out} in the layout {args.layout}", *lines, sep="\n  ")
    return 0


def _vocabulary(role: Path) -> str:
    """What a written adapter holds of the vocabulary, in words."""
    from adapters.store import ADAPTER_FILE, read_shapes

    shapes = read_shapes(role / ADAPTER_FILE)
    rows = [shape[0] for name, shape in shapes.items() if name.endswith("trainable_tokens_delta")]
    if rows:
        return f"{rows[0]} tokens of its own"
    whole = [shape[0] for name, shape in shapes.items() if ".lora_" not in name]
    return f"a vocabulary of its own ({whole[0]} tokens)" if whole else "the base's vocabulary"


if __name__ == "__main__":
    sys.exit(main())
