"""Ids: of the right form, in order, and never the same twice."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote
from uuid import UUID

import httpx
import pytest

from gateway.models.ids import name_in_path, new_id, path_segment


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = UUID(new_id())
    assert (made.version, made.variant) == (7, UUID(int=2 << 62).variant)


def test_an_id_made_in_a_later_millisecond_sorts_after_an_earlier_one() -> None:
    earlier = new_id()
    while new_id()[:13] == earlier[:13]:
        pass
    assert new_id() > earlier


def test_no_two_ids_are_the_same_whatever_thread_makes_them() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = [
            each for ids in threads.map(lambda _: [new_id() for _ in range(2000)], range(16)) for each in ids
        ]
    assert len(set(made)) == len(made) == 32_000


@pytest.mark.parametrize("name", [".", "..", "~.", "~~..", "...", "~", "a/../b", "~.x", " ü%", "plain"])
def test_a_name_in_a_path_survives_browsers_and_is_read_back(name: str) -> None:
    url = httpx.URL("https://gateway/users/").join(path_segment(name))
    assert url.raw_path == f"/users/{path_segment(name)}".encode()
    assert name_in_path(unquote(path_segment(name))) == name


FORKING = """
import os
import httpx
import pytest

from gateway.models.ids import name_in_path, new_id, path_segment
new_id()
child = os.fork()
if child:
    os.waitpid(child, 0)
print(*(new_id()[19:] for _ in range(50)), flush=True)
"""


def test_a_forked_process_makes_other_ids_than_its_parent() -> None:
    said = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True).stdout
    assert len(set(said.split())) == len(said.split()) == 100
