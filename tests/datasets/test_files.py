"""The folder of exports: what is whole has its name, and nobody else may read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.datasets.files import ExportFiles


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def written(files: ExportFiles, name: str, content: bytes = b"x") -> Path:
    with files.begin(name) as file:
        file.write(content)
        files.finish(file, name)
    return files.path(name)


def test_a_file_has_its_name_only_once_it_is_whole(files: ExportFiles, folder: Path) -> None:
    with files.begin("job.a") as file:
        file.write(b"whole")
        assert not files.path("job.a").exists()
        files.finish(file, "job.a")
    assert files.path("job.a").read_bytes() == b"whole"
    assert [path.name for path in folder.iterdir()] == ["job.a"]


def test_files_and_their_folder_are_their_owners_alone(files: ExportFiles, folder: Path) -> None:
    path = written(files, "job.a")
    assert (mode(folder), mode(path)) == (0o700, 0o600)


def test_a_part_that_is_begun_again_is_empty(files: ExportFiles) -> None:
    with files.begin("job.a") as file:
        file.write(b"a long first try")
    assert written(files, "job.a", b"short").read_bytes() == b"short"


def test_a_file_is_removed_whole_or_in_part_and_nothing_else(files: ExportFiles, folder: Path) -> None:
    written(files, "job.a")
    files.begin("job.b").close()
    written(files, "other.a")
    files.remove_part("other.a")
    for name in ("job.a", "job.b"):
        files.remove(name)
    assert [path.name for path in folder.iterdir()] == ["other.a"]


def test_removing_what_is_not_there_is_no_error(files: ExportFiles) -> None:
    files.remove("job.a")
    files.remove_part("job.a")
    files.remove_older(1.0)


def test_a_part_that_was_removed_meanwhile_cannot_be_finished(files: ExportFiles) -> None:
    with files.begin("job.a") as file:
        files.remove("job.a")
        with pytest.raises(FileNotFoundError):
            files.finish(file, "job.a")


def test_old_files_are_removed_and_so_are_parts(files: ExportFiles, folder: Path) -> None:
    old, new = written(files, "old.a"), written(files, "new.a")
    files.begin("old.b").close()
    for path in (old, folder / "old.b.part"):
        os.utime(path, (1000, 1000))
    files.remove_older(2000)
    assert list(folder.iterdir()) == [new]
