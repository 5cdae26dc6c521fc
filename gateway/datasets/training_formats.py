"""Training formats: writers of JSON Lines, or of a zip file of them with a dataset card."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, NamedTuple

from gateway.datasets.data_splits import SPLIT_NAMES, Shares, SplitSpool
from gateway.datasets.dataset_card import CardFacts, file_name, write_card
from gateway.datasets.export_format import (
    ExportCounts,
    ExportRow,
    Format,
    FormatRun,
    FormatWriter,
    PreparedRow,
    RowPreparer,
    RowSetup,
)
from gateway.datasets.messages import ChatMessage, LeftOut, MessageOptions, json_line
from gateway.datasets.overlaps import EvaluationPrompts, NearDuplicates, message_key, read_evaluation_prompts
from gateway.datasets.pairs import JudgedAnswers, Pair, PairFinder, judged_answers
from gateway.datasets.samples import read_sample
from gateway.datasets.training_lines import (
    CONVERSATION_COLUMNS,
    EVAL_COLUMNS,
    KTO_COLUMNS,
    MESSAGES_COLUMNS,
    PAIR_COLUMNS,
    PREFERENCE_COLUMNS,
    PROMPT_COLUMNS,
    Columns,
    Line,
    LinesOf,
    PairOptions,
    SftOptions,
    TrainingOptions,
    UnjudgedOptions,
    conversation_lines,
    eval_lines,
    kto_lines,
    pair_line,
    preference_line,
    sft_lines,
)

_CARD = "README.md"
# The same rows make the same bytes, whenever.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

LineOfPair = Callable[[Pair, ExportCounts], Line | None]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a format writes: lines of single samples, or of pairs."""

    name: str
    columns: Columns
    lines_of: LinesOf | None = None
    line_of_pair: LineOfPair | None = None

    def columns_of(self, options: TrainingOptions) -> Columns:
        is_whole = isinstance(options, SftOptions) and options.shape == "messages"
        return MESSAGES_COLUMNS if is_whole else self.columns


class PreparedLine(NamedTuple):
    """A line as bytes, and what decides whether it is kept and where it goes.

    Args:
        label: of formats that have one.
        key: the same for lines that say the same; None where nothing asks for it.
        messages: all that is said in it, where near duplicates are looked for.
    """

    data: bytes
    people: list[str]
    label: str | None
    key: int | None
    messages: list[ChatMessage] | None


class PreparedSample(NamedTuple):
    """What a request is to training data: lines, or answers that may become sides of pairs."""

    lines: list[PreparedLine]
    answers: JudgedAnswers | None
    remarks: list[str]


class LineMaker:
    """Lines as bytes, but those that repeat a prompt of an evaluation."""

    def __init__(self, options: TrainingOptions) -> None:
        """Raises BadInput."""
        self._is_exact, self._is_near = options.deduplicate != "no", options.deduplicate == "near"
        self._prompts: EvaluationPrompts | None = None
        if options.evaluation_prompts:
            prompts = read_evaluation_prompts(options.evaluation_prompts)
            self._prompts = EvaluationPrompts(prompts, options.evaluation_run_words)

    def make(self, line: Line) -> PreparedLine | None:
        """Return a line; None where it may not be in training data."""
        if self._prompts is not None and self._prompts.repeats(line.messages):
            return None
        label = line.columns.get("label")
        return PreparedLine(
            json_line(line.columns),
            line.people,
            None if label is None else str(label).lower(),
            message_key(line.messages) if self._is_exact else None,
            line.messages if self._is_near else None,
        )


_REPEATS_PROMPT = "it repeats an evaluation prompt"


class TrainingPreparer:
    """Requests as samples, and these as lines or as answers to be paired."""

    def __init__(self, layout: Layout, setup: RowSetup) -> None:
        """Raises BadInput."""
        assert isinstance(setup.options, TrainingOptions)
        options = setup.options
        self._layout, self._setup, self._options = layout, setup, options
        self._messages = MessageOptions(options.reasoning, options.refusals)
        self._redact = options.redactor()
        self._maker = LineMaker(options)

    def prepare(self, row: ExportRow) -> PreparedRow:
        try:
            sample = read_sample(row, self._setup.entries_of(row), self._messages, self._redact)
        except LeftOut as reason:
            return PreparedRow(None, (str(reason),))
        left_out = list(sample.left_out)
        lines: list[PreparedLine] = []
        answers = None
        if self._layout.lines_of is None:
            answers = judged_answers(sample, left_out.append)
        else:
            for line in self._layout.lines_of(sample, self._options, left_out.append):
                if (made := self._maker.make(line)) is None:
                    left_out.append(_REPEATS_PROMPT)
                else:
                    lines.append(made)
        return PreparedRow(PreparedSample(lines, answers, sample.remarks), tuple(left_out))


class TrainingWriter:
    """Samples, perhaps paired, then what may stay of them, then a file or an archive."""

    def __init__(self, layout: Layout, run: FormatRun) -> None:
        """Raises BadInput."""
        assert isinstance(run.options, TrainingOptions)
        options = run.options
        self._layout, self._run, self._options, self._counts = layout, run, options, run.counts
        self._seen = set[int]()
        self._near = NearDuplicates(options.near_threshold) if options.deduplicate == "near" else None
        self._finder: PairFinder | None = None
        if layout.line_of_pair is not None:
            most = options.pairs_per_prompt if isinstance(options, PairOptions) else 1
            self._finder = PairFinder(run.folder, run.resources, run.counts, most)
        self._spool = None if options.split is None else _spool(options, run)
        self._archive = _ZipStream() if options.is_archive else None
        self._labels: Counter[str] = Counter()
        self._remarks: Counter[str] = Counter()

    def add(self, item: PreparedSample) -> Iterable[bytes]:
        self._remarks.update(item.remarks)
        if self._finder is not None:
            if item.answers is not None:
                self._finder.add(item.answers)
            return ()
        return [data for line in item.lines for data in self._keep(line)]

    def finish(self) -> Iterable[bytes]:
        maker = LineMaker(self._options)
        for pair in self._finder.pairs() if self._finder is not None else ():
            if (line := self._line_of_pair(pair)) is None:
                continue
            if (made := maker.make(line)) is None:
                self._counts.leave_out(_REPEATS_PROMPT)
            else:
                yield from self._keep(made)
        # An export without a line is refused, and no byte of it may have been sent by then.
        if self._archive is not None and self._counts.written:
            yield from self._finish_archive(self._archive)

    def _line_of_pair(self, pair: Pair) -> Line | None:
        assert self._layout.line_of_pair is not None
        return self._layout.line_of_pair(pair, self._counts)

    def _keep(self, line: PreparedLine) -> Iterator[bytes]:
        if (why := self._reason_against(line)) is not None:
            return self._counts.leave_out(why)
        self._counts.written += 1
        if line.label is not None:
            self._labels[line.label] += 1
        if self._spool is not None:
            self._spool.add(line.people, line.data)
        elif self._archive is not None:
            yield from self._archive.write(file_name(SPLIT_NAMES[0]), line.data)
        else:
            yield line.data
        return None

    def _reason_against(self, line: PreparedLine) -> str | None:
        if line.key is None:
            return None
        if line.key in self._seen:
            return "it repeats an earlier line"
        self._seen.add(line.key)
        if self._near is not None and line.messages is not None and self._near.has_seen(line.messages):
            return "it nearly repeats an earlier line"
        return None

    def _finish_archive(self, archive: _ZipStream) -> Iterator[bytes]:
        lines = {SPLIT_NAMES[0]: self._counts.written}
        if self._spool is not None:
            lines = {}
            for split in SPLIT_NAMES:
                for data in self._spool.lines(split):
                    lines[split] = lines.get(split, 0) + 1
                    yield from archive.write(file_name(split), data)
        facts = CardFacts(
            format_name=self._layout.name,
            columns=self._layout.columns_of(self._options),
            options=self._options,
            filters=self._run.filters,
            lines=lines,
            left_out=self._counts.left_out,
            labels=self._labels,
            remarks=self._remarks,
            largest_group=None if self._spool is None else self._spool.largest_group(),
        )
        yield from archive.write(_CARD, write_card(facts).encode())
        yield from archive.finish()


def _spool(options: TrainingOptions, run: FormatRun) -> SplitSpool:
    return SplitSpool(run.folder, run.resources, Shares.read(options.split or "", options.seed))


class _ZipStream:
    """A zip file that is given out as it grows."""

    def __init__(self) -> None:
        self._out = _Chunks()
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_DEFLATED)
        self._name: str | None = None
        self._entry: IO[bytes] | None = None

    def write(self, name: str, data: bytes) -> list[bytes]:
        """Add to the file of this name, which is the last one or new; return what is complete."""
        if name != self._name:
            self._close_entry()
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            self._name, self._entry = name, self._zip.open(info, "w", force_zip64=True)
        assert self._entry is not None
        self._entry.write(data)
        return self._out.take()

    def finish(self) -> list[bytes]:
        self._close_entry()
        self._zip.close()
        return self._out.take()

    def _close_entry(self) -> None:
        if self._entry is not None:
            self._entry.close()


class _Chunks:
    """A file that cannot be sought in, of which the pieces are taken as they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        """What is left may still be taken."""

    def take(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces


def _prepare(layout: Layout, setup: RowSetup) -> RowPreparer:
    return TrainingPreparer(layout, setup)


def _open(layout: Layout, run: FormatRun) -> FormatWriter:
    return TrainingWriter(layout, run)


def _format(layout: Layout, description: str, options: type[TrainingOptions] = TrainingOptions) -> Format:
    return Format(
        name=layout.name,
        description=description,
        media_type="application/jsonl",
        suffix="jsonl",
        preparer=partial(_prepare, layout),
        open=partial(_open, layout),
        options=options,
        is_training=True,
        is_archive=lambda given: isinstance(given, TrainingOptions) and given.is_archive,
    )


TRAINING_FORMATS = (
    _format(
        Layout("sft", PROMPT_COLUMNS, sft_lines),
        "Supervised fine-tuning: prompt and completion as messages.",
        SftOptions,
    ),
    _format(
        Layout("dpo", PAIR_COLUMNS, line_of_pair=pair_line),
        "Preferences: prompt, chosen and rejected as messages, from edits and differing feedback.",
        PairOptions,
    ),
    _format(
        Layout("kto", KTO_COLUMNS, kto_lines),
        "Prompt and completion with a label: true for a score above 0, false below.",
    ),
    _format(
        Layout("reward", PAIR_COLUMNS, line_of_pair=pair_line),
        "The pairs of dpo, for reward models.",
        PairOptions,
    ),
    _format(
        Layout("openai-preference", PREFERENCE_COLUMNS, line_of_pair=preference_line),
        "Pairs as Azure, Together and Fireworks take them.",
        PairOptions,
    ),
    _format(
        Layout("eval", EVAL_COLUMNS, eval_lines),
        "Evaluation: input, and as expected what people wrote or liked, with tags.",
        UnjudgedOptions,
    ),
    _format(
        Layout("conversations", CONVERSATION_COLUMNS, conversation_lines),
        "Whole conversations in the shape of ShareGPT, for LLaMA-Factory and others.",
        UnjudgedOptions,
    ),
)
