"""The page of export jobs: a list leads to a file, with who asked for what, in the asker's tenant alone."""

from __future__ import annotations

import csv
import html
import io
import re

import httpx

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.ui_pages import (
    ADMIN_KEY,
    READER_KEY,
    REVIEWER_KEY,
    TENANT_KEY,
    ask_api,
    form_token,
    signed_in,
)

PAGE = "/ui/exports"


def start(client: httpx.Client, path: str, **fields: str) -> str:
    """Send the form of a page as it is, but for these fields; return the path of the job's buttons."""
    page = client.get(path).raise_for_status().text
    given = {
        name: html.unescape(text)
        for name, text in re.findall(r'name="(dataset)" value="([^"]*)"', page)
        + re.findall(r'<textarea name="(filters)"[^>]*>([^<]*)<', page)
    }
    token = {"form_token": form_token(client, path)}
    reply = client.post(PAGE, data={**given, **token, **fields})
    assert (reply.status_code, reply.headers["location"]) == (303, PAGE), reply.text
    return str(re.findall(rf'action="({PAGE}/[^"]+)"', client.get(PAGE).text)[0])


def row_of(client: httpx.Client, job: str) -> str:
    """Return the row of a job once it has ended."""

    def ended() -> str:
        rows = client.get(PAGE).raise_for_status().text.split("<tr>")
        [row] = [each for each in rows if f'action="{job}"' in each]
        return row if 'value="start"' in row else ""

    return eventually(ended)


def test_a_list_becomes_a_file_that_others_of_the_tenant_see_too(demo_pages: RunningGateway) -> None:
    with signed_in(demo_pages, READER_KEY) as reader:
        listed = reader.get("/ui/requests?rating=bad&from=7d").text
        [link] = re.findall(r'href="(/ui/exports/new\?[^"]+)"', listed)
        job = start(
            reader, html.unescape(link), format="csv", options="texts=false\nlimit=5", description="for <b>"
        )
        row = row_of(reader, job)
        assert "where score is below 0 and time is since 20" in row
        assert "limit=5, texts=false" in row or "texts=false, limit=5" in row
        assert "for &lt;b&gt;" in row
        assert ">done<" in row
        file = reader.get(f"{job}/file", follow_redirects=True).raise_for_status()
        rows = list(csv.DictReader(io.StringIO(file.text)))
        wanted = ask_api(demo_pages, "/api/v1/requests?rating=bad&from=7d&limit=500")["data"]
        assert [each["request_id"] for each in rows] == [each["request_id"] for each in wanted[::-1][:5]]
        assert all(float(each["score"]) < 0 and "question" not in each for each in rows)
    with signed_in(demo_pages, ADMIN_KEY) as admin:
        assert "<td>reader</td>" in row_of(admin, job)
        again = admin.post(job, data={"form_token": form_token(admin, PAGE), "action": "start"})
        assert again.status_code == 303
        row_of(admin, job)
    with signed_in(demo_pages, TENANT_KEY) as other:
        assert "There are none yet" in other.get(PAGE).text
        assert other.get(f"{job}/file").status_code == 404
        data = {"form_token": form_token(other, "/ui/exports/new"), "action": "start"}
        assert other.post(job, data=data).status_code == 404


def test_a_version_of_a_dataset_is_exported_and_what_cannot_be_says_why(demo_pages: RunningGateway) -> None:
    with signed_in(demo_pages, REVIEWER_KEY) as client:
        token = {"form_token": form_token(client, "/ui/datasets/new")}
        client.post("/ui/datasets", data={**token, "name": "liked", "filters": "rating=good"})
        client.post("/ui/datasets/liked", data={**token, "action": "freeze"})
        [link] = re.findall(r'href="(/ui/exports/new\?dataset=[^"]+)"', client.get("/ui/datasets/liked").text)
        row = row_of(client, start(client, link, format="jsonl"))
        assert ">dataset liked, version 1<" in row
        assert ">done<" in row
        number = ask_api(demo_pages, "/api/v1/datasets/liked")["versions"][0]["rows"]
        assert f'<td class="number">{number}</td>' in row
        failed = row_of(client, start(client, f"{PAGE}/new?user=nobody-at-all", format="dpo"))
        assert ">failed<" in failed
        assert "there is nothing to train on" in failed
        token = {"form_token": form_token(client, f"{PAGE}/new")}
        refused = client.post(PAGE, data={**token, "format": "csv", "filters": "colour=red"})
        assert refused.status_code == 400
        assert "colour" in refused.text
