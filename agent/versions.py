"""Which code is running: versions of the packages that decide what comes out, and the checkout's commit."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

PACKAGES = ("mindreel", "torch", "transformers", "peft", "networkx", "av", "numpy", "qwen-vl-utils", "flash-attn")


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide what comes out, those that are installed."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def git_sha(root: Path | None = None) -> str | None:
    """The commit that a checkout is at, read from its files; None where there is no checkout."""
    git = (root or Path(__file__).resolve().parent.parent) / ".git"
    try:
        if git.is_file():  # a linked worktree
            git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head or None
        name = head.removeprefix("ref: ")
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
        for folder in (git, common):
            if (folder / name).is_file():
                return (folder / name).read_text().strip()
        packed = (common / "packed-refs").read_text().splitlines()
        return next((row.split()[0] for row in packed if row.endswith(f" {name}")), None)
    except (OSError, ValueError):
        return None
