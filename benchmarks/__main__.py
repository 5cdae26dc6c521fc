"""The command line: `python -m benchmarks [TASK]`."""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import machine, report
from benchmarks.charts import draw
from benchmarks.lineup import prepared
from benchmarks.options import ALL, parser, plan_of
from benchmarks.plan import Plan
from benchmarks.processes import Failed, ended_in_order
from benchmarks.reach import AIMS, reach_table
from benchmarks.tables import TABLES, facts_table
from benchmarks.tasks import TASKS, Results


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit code."""
    chosen = parser().parse_args(arguments)
    everything = [name for name, task in TASKS.items() if not task.is_long]
    names = everything if chosen.task == ALL else [chosen.task]
    facts = machine.facts()
    try:
        with ended_in_order(), tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
            results, failed = _measure(names, plan_of(chosen), Path(folder), facts)
    except KeyboardInterrupt:
        return 130
    sections = {name: TABLES[name](rows) for name, rows in results.items() if rows}
    if chosen.task == ALL:
        sections["reach"] = reach_table(results, AIMS)
    for name, section in sections.items():
        print(f"{name}\n\n{section}\n")
    if chosen.write:
        command = shlex.join(["python", "-m", "benchmarks", *arguments])
        _write(chosen.write, sections, f"`{command}`, {facts['date']}, commit {facts['commit']}")
        if "comparison" in sections:
            _write(chosen.write, {"machine": facts_table(facts)}, f"`{command}`")
        draw(results, chosen.write.parent / "charts")
    return 1 if failed else 0


def _measure(
    names: Sequence[str], plan: Plan, folder: Path, facts: Mapping[str, str]
) -> tuple[Results, list[str]]:
    """Carry out tasks; return what came out, and the names of those that failed."""
    plan = replace(plan, contestants=prepared(plan.contestants, _say))
    results: Results = {}
    failed = []
    for name in names:
        started = time.monotonic()
        try:
            found = TASKS[name].measure(plan, folder / name, _say)
        except Failed as failure:
            _say(f"{name} failed: {failure}")
            failed.append(name)
            continue
        _say(f"{name} took {time.monotonic() - started:.0f} s")
        for section, rows in found.items():
            _say(f"saved as {report.save(section, facts, rows)}")
        results |= found
    return results, failed


def _write(document: Path, sections: Mapping[str, str], source: str) -> None:
    text = document.read_text()
    for name, section in sections.items():
        text = report.replace_section(text, name, f"{section}\n\n{source}")
    document.write_text(text)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
