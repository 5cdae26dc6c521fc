"""Power failures: writes since the last fsync are thrown away, by a library that keeps what was synced."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".c")


def compile_library(folder: Path) -> Path:
    """Build the library, for `LD_PRELOAD`. Raises FileNotFoundError without a compiler."""
    library = folder / "power_failure.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


def is_preloaded() -> bool:
    """Tell whether what this process syncs is kept."""
    return "power_failure.so" in os.environ.get("LD_PRELOAD", "")


def keep_synced_files_in(folder: Path) -> None:
    """Keep what is synced from now on in this folder."""
    folder.mkdir()
    os.environ["SYNCED_FILES"] = str(folder)


def sync_tree(root: Path) -> None:
    """Have all files of a folder on the disk."""
    for path in [*root.rglob("*"), root]:
        if path.is_fifo():
            continue
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.close(file)


def restore_after_failure(root: Path, kept: Path, target: Path, chance: random.Random) -> None:
    """Make a folder as a power failure may leave it: what was synced, and of other writes whatever chance says."""
    [listing] = kept.glob(f"{root.stat().st_ino}-*")
    _restore(listing, root, kept, target, chance)


def _restore(listing: Path, live: Path, kept: Path, target: Path, chance: random.Random) -> None:
    target.mkdir()
    for line in listing.read_text().splitlines():
        key, mode, name = line.split(" ", 2)
        if stat.S_ISDIR(int(mode, 8)):
            folder = kept / key
            _restore(
                folder if folder.exists() else Path(os.devnull), live / name, kept, target / name, chance
            )
        elif stat.S_ISFIFO(int(mode, 8)):
            os.mkfifo(target / name)
        else:
            _restore_file(kept / key, live / name, target / name, chance)


def _restore_file(synced: Path, live: Path, target: Path, chance: random.Random) -> None:
    content = synced.read_bytes() if synced.exists() else b""
    now = live.read_bytes() if live.exists() else b""
    if live.name == "state" or live.name.endswith("-wal"):
        # Mapped memory, and frames that checksums belong to, may be written at any time.
        content = chance.choice([content, now])
    elif live.suffix == ".seg" and len(now) > len(content):
        rest = now[len(content) :]
        length = chance.randrange(len(rest) + 1)
        content += chance.choice(
            [b"", rest[:length], bytes(length), rest[: length // 2] + bytes(length // 2)]
        )
    target.write_bytes(content)


def remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
