"""Size and language of the package: `python -m tests.code_metrics` prints the table of docs/architecture.md."""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "gateway"


@dataclass(frozen=True)
class CodeMetrics:
    """Measures of a package; modules are counted without `__init__`.

    Args:
        import_percent: of all lines.
        docstring_words: in 100 lines.
        comments: in 1,000 lines.
    """

    modules: int
    median_lines: float
    longest_lines: int
    lines: int
    import_percent: float
    docstring_words: float
    comments: float


def measure_package(package: Path = PACKAGE) -> CodeMetrics:
    sizes: list[int] = []
    lines = words = comments = imports = 0
    for file in sorted(package.rglob("*.py")):
        source = file.read_text()
        length = source.count("\n")
        lines += length
        if file.name != "__init__.py":
            sizes.append(length)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports += (node.end_lineno or node.lineno) - node.lineno + 1
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                words += len((ast.get_docstring(node) or "").split())
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments += sum(token.type == tokenize.COMMENT for token in tokens)
    return CodeMetrics(
        modules=len(sizes),
        median_lines=statistics.median(sizes),
        longest_lines=max(sizes),
        lines=lines,
        import_percent=100 * imports / lines,
        docstring_words=100 * words / lines,
        comments=1000 * comments / lines,
    )


def to_table(metrics: CodeMetrics) -> str:
    rows = [
        ("modules", f"{metrics.modules}"),
        ("lines of the median and the longest module", f"{metrics.median_lines:g}, {metrics.longest_lines}"),
        ("lines of `gateway/`", f"{metrics.lines:,}"),
        ("import lines", f"{metrics.import_percent:.1f} %"),
        ("docstring words in 100 lines", f"{metrics.docstring_words:.0f}"),
        ("`#` comments in 1,000 lines", f"{metrics.comments:.0f}"),
    ]
    return "\n".join(
        ["| measure | value |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows)]
    )


if __name__ == "__main__":
    sys.stdout.write(to_table(measure_package()) + "\n")
