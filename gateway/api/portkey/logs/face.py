"""The face of Portkey's logs: its paths, and those of exports."""

from __future__ import annotations

from gateway.api.portkey.exports.handlers import ExportEndpoints
from gateway.api.portkey.logs.handlers import LogBook, LogEndpoints
from gateway.api.portkey.records import UrlOf
from gateway.api.portkey.shapes import FailureResponse, failure
from gateway.query import RequestReader
from gateway.query.exports import ExportJobs, ExportLinks
from gateway.web.face import Face


def portkey_logs_face(
    log_book: LogBook,
    requests: RequestReader,
    jobs: ExportJobs,
    links: ExportLinks,
    url_of: UrlOf,
    max_body_bytes: int,
) -> Face:
    """Return the face of `/v1/logs`.

    Args:
        url_of: where a provider was asked.
        max_body_bytes: longest body taken.
    """
    return Face(
        name="portkey logs",
        prefixes=("/v1/logs",),
        endpoints=(
            *ExportEndpoints(jobs, links, max_body_bytes).endpoints(),
            *LogEndpoints(log_book, requests, url_of, max_body_bytes).endpoints(),
        ),
        draw_error=failure,
        error_model=FailureResponse,
    )
