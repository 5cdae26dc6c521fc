"""`gateway open`: show the store in a tool for analysts, with a description of each column."""

import secrets
import socket
from collections.abc import Mapping

import click

from gateway.cli.options import pass_store_url, require_store
from gateway.errors import StoreUnavailable
from gateway.models.columns import Column
from gateway.models.feedback import FEEDBACK_COLUMNS
from gateway.models.request import REQUEST_COLUMNS, Payload, RequestRecord
from gateway.query.requests import conversation_of
from gateway.store import AnalystFile, open_for_analysts

LOCALHOST = "127.0.0.1"


@click.command("open")
@click.option(
    "--datasette", "has_datasette", is_flag=True, help="In Datasette: pages, facets, SQL, JSON, CSV."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0: a free one.")
@click.option("--texts", "has_texts", is_flag=True, help="With SQL functions question(seq) and answer(seq).")
@pass_store_url
def open_command(has_datasette: bool, port: int, has_texts: bool, url: str) -> None:
    """Show the store in a tool for analysts, on this machine, until Ctrl-C.

    A gateway may use the store meanwhile. The tool writes nothing, and sees requests, feedback and reviews of all
    tenants: no keys, sign-ins, jobs or stored bodies. Who has the printed address may read all that.
    """
    if not has_datasette:
        raise click.UsageError("name a tool: --datasette.")
    require_store(url)
    file = open_for_analysts(url, _read_texts if has_texts else None)
    try:
        # Costs a second, and is not there without the extra.
        from gateway.cli.datasette_server import serve_datasette
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            "Datasette is not installed.", hint="pip install 'feedback-gateway[datasette]'"
        ) from error
    token = secrets.token_urlsafe(32)
    with socket.create_server((LOCALHOST, port)) as listener:
        address = f"http://{LOCALHOST}:{listener.getsockname()[1]}"
        click.echo(f"Datasette on {file.path}: {address}/?token={token}")
        serve_datasette(file, describe_tables(file), listener, token)


def _read_texts(record: RequestRecord, payload: Payload | None) -> tuple[str, str]:
    said = conversation_of(record, payload)
    return said.question, said.answer


# By the end of a column's name.
_UNITS = {
    "_us": "Microseconds since 1970, UTC.",
    "_ms": "Milliseconds.",
    "_usd": "US dollars.",
    "_size": "Bytes.",
}

_TABLE_DESCRIPTIONS = {
    "request_facts": "Requests, with sums of the feedback that counts for each: right when summed up further.",
    "feedback_facts": "Feedback that was not withdrawn; request_seq is the request that it counts for.",
    "request_report": "Requests, with text times, dollars and the score of their trace.",
    "trace_report": "Traces of each tenant, with the sums of their requests.",
    "feedback_report": "Feedback that was not withdrawn, with text times.",
    "aliases": "Ids of traces, requests and responses, and what they name.",
    "requests": "Requests as they are stored.",
    "feedback": "Feedback as it is stored, the latest version of each entry.",
    "feedback_versions": "Earlier versions of feedback.",
    "other_response_ids": "Further ids that an answer showed.",
    "reviews": "Reservations and reviews of requests.",
}

_COMPUTED = {
    "started_at": "When it started: UTC.",
    "ended_at": "When it ended: UTC.",
    "created_at": "When the first version was given: UTC.",
    "updated_at": "When this version was given: UTC.",
    "duration_ms": "From the head's arrival to the end of the answer.",
    "first_byte_ms": "From the head's arrival to the first byte of the answer.",
    "cost_usd": "The cost; null where no price is known.",
    "feedback_count": "Number of entries.",
    "score_weight": "Sum of the weights of entries with a score.",
    "weighted_score": "Weight × score, summed over the entries; by `score_weight` it is a score.",
    "weighted_grade": "Weight × grade.",
    "trace_score": "Mean score of the trace's feedback by weight, from -1 to 1.",
    "trace_feedback_count": "Number of entries on the trace.",
    "is_joined": "Whether its trace, request or session was found.",
    "request_seq": "Position in the log of the request that it counts for.",
    "request_started_at_us": "When the request that it counts for started.",
}


def describe_tables(file: AnalystFile) -> dict[str, dict[str, object]]:
    """Return Datasette's metadata of each table and view; hidden ones are refused to everybody."""
    described = {name: _describe_table(name, columns) for name, columns in file.columns.items()}
    return {**described, **{name: {"allow": False} for name in file.hidden}}


def _describe_table(table: str, columns: tuple[str, ...]) -> dict[str, object]:
    known = FEEDBACK_COLUMNS if table.startswith("feedback") else REQUEST_COLUMNS
    stored = {column.name: column for column in known}
    texts = {name: text for name in columns if (text := _describe_column(name, stored))}
    metadata: dict[str, object] = {"description": _TABLE_DESCRIPTIONS[table], "columns": texts}
    # Both have an index; without one, sorting reads every row.
    sorted_by = next((name for name in ("created_at_us", "started_at_us") if name in columns), None)
    if sorted_by is not None and table != "trace_report":
        metadata["sort_desc"] = sorted_by
    if facets := [name for name in ("kind", "model") if name in columns and "seq" in columns]:
        metadata["facets"] = facets
    return metadata


def _describe_column(name: str, stored: Mapping[str, Column]) -> str:
    text = stored[name].description if name in stored else _COMPUTED.get(name, "")
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")
    return f"{text} {unit}".strip().replace("`", "")
