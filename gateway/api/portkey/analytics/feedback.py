"""Graphs of what was said of requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from pydantic import Field

from gateway.api.portkey.analytics.figures import rounded, weighted_feedback, with_exact
from gateway.api.portkey.analytics.shapes import Exact, Graph, Mean, MeanAt, NoSummary, Total, TotalGraph
from gateway.api.portkey.analytics.views import View, points, total_graph
from gateway.domain.aggregate import GRADE, Question, VerdictSums
from gateway.query.timelines import verdicts_over_time
from gateway.store.figures import AggregateQueries


class ScoreTotal(Total):
    score: int = Field(description="A value from -10 to 10.")


class ModelFeedback(Total):
    ai_model: str
    avg_weighted_feedback: int = Field(description="The mean of value × weight; 0 where there is nothing.")
    avg_weighted_feedback_exact: Exact


ScoresGraph = Graph[Total, ScoreTotal]
WeightedGraph = Graph[Mean, MeanAt]
ModelsGraph = Graph[NoSummary, ModelFeedback]


async def _draw_feedback(store: AggregateQueries, question: Question) -> TotalGraph:
    return total_graph(await verdicts_over_time(store, question), lambda verdicts: verdicts.entries)


async def _draw_scores(store: AggregateQueries, question: Question) -> ScoresGraph:
    totals: Counter[int] = Counter()
    for cell, verdicts in (await store.verdicts(replace(question, group_by=GRADE))).items():
        if isinstance(cell.value, float):
            totals[rounded(cell.value)] += verdicts.entries
    return ScoresGraph(
        summary=Total(total=totals.total()),
        data_points=[ScoreTotal(score=score, total=total) for score, total in sorted(totals.items())],
    )


async def _draw_weighted(store: AggregateQueries, question: Question) -> WeightedGraph:
    verdicts = await verdicts_over_time(store, question)
    return WeightedGraph(
        summary=Mean(**_weighted(verdicts.whole)), data_points=points(MeanAt, verdicts, _weighted)
    )


async def _draw_models(store: AggregateQueries, question: Question) -> ModelsGraph:
    by_model = await store.verdicts(replace(question, group_by="any_model"))
    most_first = sorted(by_model.items(), key=lambda item: (-item[1].entries, str(item[0].value)))
    return ModelsGraph(
        summary=NoSummary(),
        data_points=[
            ModelFeedback(
                ai_model=str(cell.value),
                total=verdicts.entries,
                **with_exact(avg_weighted_feedback=weighted_feedback(verdicts)),
            )
            for cell, verdicts in most_first
            if cell.value is not None
        ],
    )


def _weighted(verdicts: VerdictSums) -> dict[str, Any]:
    return with_exact(avg=weighted_feedback(verdicts))


VIEWS = (
    View(
        "graphs/feedbacks", "Feedback over time", "By when the request started that it counts for.",
        TotalGraph, _draw_feedback,
    ),
    View(
        "graphs/feedbacks/scores", "Feedback by value",
        "Entries without a value are left out. Those of other scales are put on this one and rounded.",
        ScoresGraph, _draw_scores,
    ),
    View(
        "graphs/feedbacks/weighted", "Weighted feedback over time",
        "The mean of value × weight. Entries without a value are left out.",
        WeightedGraph, _draw_weighted,
    ),
    View(
        "graphs/feedbacks/ai-models", "Feedback by model", "Those of most feedback first.",
        ModelsGraph, _draw_models,
    ),
)  # fmt: skip
