"""How Phoenix and MLflow are told of a judgement, and told again, and told that it is gone.

Source: Phoenix 20, `/openapi.json`; MLflow 3, REST API, assessments; both as the servers answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from gateway.telemetry.judgement import Judgement
from gateway.telemetry.receivers import NotThere, Refused, Unavailable

TIMEOUT_SECONDS = 15.0
_LONGEST_REASON = 200
_PASSING = frozenset({401, 403, 404, 405, 408, 425, 429})
"""Statuses that say something about the receiver or its configuration rather than about a judgement."""


class _Api:
    """A receiver's API over HTTP."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._client = httpx.AsyncClient(
            base_url=url, headers=dict(headers), timeout=TIMEOUT_SECONDS, follow_redirects=False
        )

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        *,
        not_there: str,
    ) -> Any:
        """Return the JSON of the answer.

        Args:
            not_there: what a 404 says that is about the thing that was named; others say that the URL is wrong.

        Raises:
            NotThere, Unavailable, Refused
        """
        try:
            answer = await self._client.request(method, path, json=json, params=params)
        except httpx.HTTPError as error:
            raise Unavailable(str(error) or type(error).__name__) from error
        if answer.is_success:
            return _json_of(answer)
        reason = f"{answer.status_code}: {' '.join(answer.text.split())[:_LONGEST_REASON]}"
        if answer.status_code == 404 and not_there in answer.text:
            raise NotThere(reason)
        if answer.status_code in _PASSING or answer.status_code >= 500:
            after = answer.headers.get("retry-after", "")
            raise Unavailable(reason, float(after) if after.isdecimal() else None)
        raise Refused(reason)

    async def close(self) -> None:
        await self._client.aclose()


def _json_of(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError as error:
        raise Unavailable(f"{answer.status_code}, but no JSON") from error


class Phoenix:
    """Arize Phoenix: annotations of spans, traces and sessions, told apart by their identifier.

    Args:
        url: where it listens.
        headers: fields that it wants, such as a key.
        project: where the spans are, which it wants to be told to remove an annotation.
    """

    def __init__(self, url: str, headers: Mapping[str, str], project: str) -> None:
        self._api = _Api(url, headers)
        self._project = quote(project, safe="")

    async def put(self, judgement: Judgement, *, is_first: bool) -> None:
        kind, subject = _subject(judgement)
        annotation = {
            **subject,
            "name": judgement.name,
            "annotator_kind": judgement.annotator,
            "result": {
                "label": judgement.label,
                "score": judgement.score,
                "explanation": judgement.comment,
            },
            "metadata": dict(judgement.metadata),
            "identifier": judgement.feedback_id,
        }
        # Otherwise the answer is 200, and what is not there yet never gets the annotation.
        waits = {"sync": "true"}
        path = f"/v1/{kind}_annotations"
        await self._api.call("POST", path, {"data": [annotation]}, waits, not_there="do not exist")

    async def remove(self, judgement: Judgement) -> None:
        kind, _ = _subject(judgement)
        path = f"/v1/projects/{self._project}/{kind}_annotations"
        # It deletes nothing without a range of time unless it is told that this is meant.
        params = {"identifier": judgement.feedback_id, "delete_all": "true"}
        try:
            await self._api.call("DELETE", path, params=params, not_there="Project with")
        except NotThere as error:
            raise Refused(str(error)) from error

    async def close(self) -> None:
        await self._api.close()


def _subject(judgement: Judgement) -> tuple[str, dict[str, str]]:
    if judgement.session is not None:
        return "session", {"session_id": judgement.session}
    if judgement.span_id is not None:
        return "span", {"span_id": judgement.span_id}
    return "trace", {"trace_id": judgement.trace_id}


class MLflow:
    """MLflow: assessments of traces. It knows no ids but its own, so ours is in the metadata, and looked for there.

    Args:
        url: where it listens.
        headers: fields that it wants, such as a key.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._api = _Api(url, headers)

    async def put(self, judgement: Judgement, *, is_first: bool) -> None:
        # The same assessment twice would be two.
        known = None if is_first else await self._find(judgement)
        said = {
            "feedback": {"value": judgement.label if judgement.score is None else judgement.score},
            "rationale": judgement.comment or "",
            "metadata": _metadata(judgement),
        }
        if known is not None:
            patch = {"assessment": said, "update_mask": ",".join(said)}
            await self._call("PATCH", judgement, f"/assessments/{known}", patch)
            return
        assessment = {
            **said,
            "assessment_name": judgement.name,
            "trace_id": _mlflow_trace(judgement),
            "source": {"source_type": _MLFLOW_SOURCES[judgement.annotator], "source_id": "gateway"},
        }
        if judgement.span_id is not None:
            assessment["span_id"] = judgement.span_id
        await self._call("POST", judgement, "/assessments", {"assessment": assessment})

    async def remove(self, judgement: Judgement) -> None:
        try:
            known = await self._find(judgement)
            if known is not None:
                await self._call("DELETE", judgement, f"/assessments/{known}")
        except NotThere:
            return

    async def close(self) -> None:
        await self._api.close()

    async def _find(self, judgement: Judgement) -> str | None:
        answer = await self._call("GET", judgement, "")
        for assessment in answer["trace"]["trace_info"].get("assessments", ()):
            if (assessment.get("metadata") or {}).get(_OUR_ID) == judgement.feedback_id:
                found: str = assessment["assessment_id"]
                return found
        return None

    async def _call(self, method: str, judgement: Judgement, path: str, json: Any = None) -> Any:
        trace = f"/api/3.0/mlflow/traces/{_mlflow_trace(judgement)}"
        return await self._api.call(method, trace + path, json, not_there="RESOURCE_DOES_NOT_EXIST")


_OUR_ID = "gateway.feedback_id"
_MLFLOW_SOURCES = {"HUMAN": "HUMAN", "LLM": "LLM_JUDGE", "CODE": "CODE"}


def _mlflow_trace(judgement: Judgement) -> str:
    return f"tr-{judgement.trace_id}"


def _metadata(judgement: Judgement) -> dict[str, str]:
    """What there is to say of it, as text, since MLflow takes nothing else."""
    said = {name: str(known) for name, known in judgement.metadata.items()}
    return said if judgement.session is None else {**said, "mlflow.trace.session": judgement.session}
