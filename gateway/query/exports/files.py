"""ExportFiles: the folder in which exports lie, readable by its owner alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_PART = ".part"


class ExportFiles:
    """Files by name. One has its name only once it is whole and on the disk; until then it is a part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, name: str) -> BinaryIO:
        """Open an empty part."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(self._part(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        return os.fdopen(handle, "wb")

    def finish(self, file: BinaryIO, name: str) -> None:
        """Give a part its name, once it is on the disk."""
        file.flush()
        os.fsync(file.fileno())
        self._part(name).rename(self.path(name))
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def path(self, name: str) -> Path:
        """Return where a whole file is."""
        return self._folder / name

    def remove(self, name: str) -> None:
        """Remove a file, whole or in part. What cannot be removed now is tried again when it is old."""
        with suppress(OSError):
            self.path(name).unlink(missing_ok=True)
        self.remove_part(name)

    def remove_part(self, name: str) -> None:
        """Remove a part, in the same way."""
        with suppress(OSError):
            self._part(name).unlink(missing_ok=True)

    def remove_older(self, seconds: float) -> None:
        """Remove what was last written before this time, in seconds since the epoch."""
        for file in self._folder.glob("*"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < seconds:
                    file.unlink()

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}{_PART}"
