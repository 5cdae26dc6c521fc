"""Where the gateway's time goes: CPU of each thread from /proc, and within it functions as py-spy samples them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.calls import request_of
from benchmarks.compare import Case
from benchmarks.lineup import Running, Say
from benchmarks.processes import Failed
from benchmarks.report import RESULTS

SAMPLES_A_SECOND = 250
SHOWN = 15

_WARM_UP_SECONDS = 2

_WAITS = re.compile(r"^(_worker \(concurrent/futures/thread|Writer\._take |wait \(threading)")
"""Functions in which a thread waits for work; py-spy at times takes that for work."""

_THREAD = re.compile(r"thread \((\d+)\): (.*)")
_LINE_NUMBER = re.compile(r":\d+\)$")


@dataclass(slots=True)
class ThreadProfile:
    """Samples of one thread: by the function that ran, and by each function that was being called."""

    name: str
    samples: int = 0
    own: Counter[str] = field(default_factory=Counter)
    inclusive: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time went under a load, as text."""

    case: str
    text: str


def profile(gateway: Running, case: Case, seconds: int, say: Say) -> Profile:
    """Load the gateway, sample it meanwhile, and return a summary; the samples go to `results/`, folded as flame
    graphs take them. Sampling slows the gateway, so the figures are for comparing functions, not for quoting.

    Raises:
        Failed: py-spy is missing or may not look into the process, or a request failed.
    """
    assert gateway.server is not None
    sampler = shutil.which("py-spy", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin")
    if sampler is None:
        raise Failed("py-spy is missing (pip install py-spy)")
    RESULTS.mkdir(exist_ok=True)
    raw = RESULTS / f"profile-{case.kind}-{case.connections}.folded"
    request = request_of(case.kind, f"profile-{case}", gateway.headers)
    gateway.send(request, connections=case.connections, seconds=_WARM_UP_SECONDS)
    gateway.server.settle()
    before = _thread_cpu_us(gateway.server.pid)
    sampling = threading.Thread(target=_sample, args=(sampler, gateway.server.pid, seconds, raw))
    sampling.start()
    answers = gateway.send(request, connections=case.connections, seconds=seconds + 1)
    sampling.join()
    gateway.server.settle()
    after = _thread_cpu_us(gateway.server.pid)
    if not raw.exists():
        raise Failed(
            "py-spy took no samples; it needs the right to trace the process (root, or ptrace_scope 0)"
        )
    used = {thread: (after[thread] - before.get(thread, 0.0)) / len(answers) for thread in after}
    say(f"samples are in {raw}")
    return Profile(str(case), summary(read_samples(raw.read_text().splitlines()), used))


def read_samples(folded: Iterable[str]) -> dict[int, ThreadProfile]:
    """Add up folded stacks (`thread (ID): NAME;outer (file:line);…;inner (file:line) COUNT`) by thread id."""
    threads: dict[int, ThreadProfile] = {}
    for line in folded:
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        found = _THREAD.match(thread)
        if found is None or not frames or _WAITS.match(frames[-1]):
            continue
        profile = threads.setdefault(int(found[1]), ThreadProfile(found[2]))
        functions = [_LINE_NUMBER.sub(")", frame) for frame in frames]
        profile.samples += int(count)
        profile.own[functions[-1]] += int(count)
        for function in set(functions):
            profile.inclusive[function] += int(count)
    return threads


def summary(threads: Mapping[int, ThreadProfile], used_us: Mapping[int, float]) -> str:
    """Return the functions of each thread, the one that costs most first, in CPU-µs a request.

    Args:
        used_us: CPU-µs a request of each thread, over which the shares of its samples are spread.
    """
    lines = [f"{sum(used_us.values()):.0f} CPU-µs a request in all threads"]
    for thread in sorted(threads, key=lambda thread: -used_us.get(thread, 0.0)):
        found, used = threads[thread], used_us.get(thread, 0.0)
        lines.append(f"\n{found.name}: {used:.0f} CPU-µs a request, {found.samples} samples")
        lines.append("   total     own")
        called = ((name, count, found.own[name]) for name, count in found.inclusive.most_common())
        # What every sample has in it, without running itself, is only the way into the program.
        told = [each for each in called if each[2] or each[1] < found.samples][:SHOWN]
        for function, count, own in told:
            lines.append(f"{used * count / found.samples:8.1f}{used * own / found.samples:8.1f}  {function}")
    return "\n".join(lines)


def _sample(sampler: str, pid: int, seconds: int, raw: Path) -> None:
    command = [sampler, "record", "--pid", str(pid), "--threads", "--duration", str(seconds)]
    command += ["--rate", str(SAMPLES_A_SECOND), "--format", "raw", "--output", str(raw)]
    subprocess.run(command, capture_output=True, timeout=seconds + 60)


def _thread_cpu_us(pid: int) -> dict[int, float]:
    """Read the CPU time of each thread (schedstat: nanoseconds on a processor)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {int(task.name): int((task / "schedstat").read_text().split()[0]) / 1000 for task in tasks}
