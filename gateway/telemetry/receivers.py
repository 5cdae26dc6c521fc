"""Receivers of feedback annotations: the REST APIs of Phoenix and MLflow."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from gateway.telemetry.feedback_export import (
    Annotation,
    AnnotationRefused,
    ReceiverUnavailable,
    SubjectMissing,
)

TIMEOUT_SECONDS = 15.0
_MAX_REASON_CHARACTERS = 200
# These are about the receiver or its configuration and not about the annotation.
_TRANSIENT_STATUSES = frozenset({401, 403, 404, 405, 408, 425, 429})


class _HttpApi:
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
        missing_text: str,
    ) -> Any:
        """Return the JSON of the answer. A 404 with `missing_text` is about the subject, others about the URL."""
        try:
            answer = await self._client.request(method, path, json=json, params=params)
        except httpx.HTTPError as error:
            raise ReceiverUnavailable(str(error) or type(error).__name__) from error
        if answer.is_success:
            return _read_json(answer)
        reason = f"{answer.status_code}: {' '.join(answer.text.split())[:_MAX_REASON_CHARACTERS]}"
        if answer.status_code == 404 and missing_text in answer.text:
            raise SubjectMissing(reason)
        if answer.status_code in _TRANSIENT_STATUSES or answer.status_code >= 500:
            after = answer.headers.get("retry-after", "")
            raise ReceiverUnavailable(reason, float(after) if after.isdecimal() else None)
        raise AnnotationRefused(reason)

    async def close(self) -> None:
        await self._client.aclose()


def _read_json(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError as error:
        raise ReceiverUnavailable(f"{answer.status_code}, but no JSON") from error


class Phoenix:
    """Arize Phoenix: annotations of spans, traces and sessions."""

    def __init__(self, url: str, headers: Mapping[str, str], project: str) -> None:
        self._api = _HttpApi(url, headers)
        self._project = quote(project, safe="")

    async def put(self, annotation: Annotation, *, is_first: bool) -> None:
        kind, subject = _annotated_subject(annotation)
        result = {"label": annotation.label, "score": annotation.score, "explanation": annotation.comment}
        body = {
            **subject,
            "name": annotation.name,
            "annotator_kind": annotation.annotator,
            "result": result,
            "metadata": dict(annotation.metadata),
            "identifier": annotation.feedback_id,
        }
        # Without it the answer is 200, and a span that arrives later never gets the annotation.
        waits = {"sync": "true"}
        path = f"/v1/{kind}_annotations"
        await self._api.call("POST", path, {"data": [body]}, waits, missing_text="do not exist")

    async def remove(self, annotation: Annotation) -> None:
        kind, _ = _annotated_subject(annotation)
        path = f"/v1/projects/{self._project}/{kind}_annotations"
        # Without a time range it deletes nothing unless `delete_all` is set.
        params = {"identifier": annotation.feedback_id, "delete_all": "true"}
        try:
            await self._api.call("DELETE", path, params=params, missing_text="Project with")
        except SubjectMissing as error:
            raise AnnotationRefused(str(error)) from error

    async def close(self) -> None:
        await self._api.close()


def _annotated_subject(annotation: Annotation) -> tuple[str, dict[str, str]]:
    if annotation.session is not None:
        return "session", {"session_id": annotation.session}
    if annotation.span_id is not None:
        return "span", {"span_id": annotation.span_id}
    return "trace", {"trace_id": annotation.trace_id}


class MLflow:
    # It has ids of its own only, so the entry's is looked up in the metadata.

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._api = _HttpApi(url, headers)

    async def put(self, annotation: Annotation, *, is_first: bool) -> None:
        # Posting again would make a second assessment.
        known = None if is_first else await self._find(annotation)
        fields = {
            "feedback": {"value": annotation.label if annotation.score is None else annotation.score},
            "rationale": annotation.comment or "",
            "metadata": _mlflow_metadata(annotation),
        }
        if known is not None:
            patch = {"assessment": fields, "update_mask": ",".join(fields)}
            await self._call("PATCH", annotation, f"/assessments/{known}", patch)
            return
        assessment = {
            **fields,
            "assessment_name": annotation.name,
            "trace_id": _mlflow_trace_id(annotation),
            "source": {"source_type": _MLFLOW_SOURCES[annotation.annotator], "source_id": "gateway"},
        }
        if annotation.span_id is not None:
            assessment["span_id"] = annotation.span_id
        await self._call("POST", annotation, "/assessments", {"assessment": assessment})

    async def remove(self, annotation: Annotation) -> None:
        try:
            known = await self._find(annotation)
            if known is not None:
                await self._call("DELETE", annotation, f"/assessments/{known}")
        except SubjectMissing:
            return

    async def close(self) -> None:
        await self._api.close()

    async def _find(self, annotation: Annotation) -> str | None:
        answer = await self._call("GET", annotation, "")
        for assessment in answer["trace"]["trace_info"].get("assessments", ()):
            if (assessment.get("metadata") or {}).get(_FEEDBACK_ID_KEY) == annotation.feedback_id:
                found: str = assessment["assessment_id"]
                return found
        return None

    async def _call(self, method: str, annotation: Annotation, path: str, json: Any = None) -> Any:
        trace = f"/api/3.0/mlflow/traces/{_mlflow_trace_id(annotation)}"
        return await self._api.call(method, trace + path, json, missing_text="RESOURCE_DOES_NOT_EXIST")


_FEEDBACK_ID_KEY = "gateway.feedback_id"
_MLFLOW_SOURCES = {"HUMAN": "HUMAN", "LLM": "LLM_JUDGE", "CODE": "CODE"}


def _mlflow_trace_id(annotation: Annotation) -> str:
    return f"tr-{annotation.trace_id}"


def _mlflow_metadata(annotation: Annotation) -> dict[str, str]:
    # MLflow takes texts only.
    fields = {name: str(known) for name, known in annotation.metadata.items()}
    return fields if annotation.session is None else {**fields, "mlflow.trace.session": annotation.session}
