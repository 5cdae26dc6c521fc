from __future__ import annotations

import re
from pathlib import Path

from gateway.store.base import Store

from .served import face_over

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (
    "api.md", "alerts.md", "analytics.md", "data.md", "experiments.md", "exports.md", "feedback.md", "keys.md",
    "webhooks.md",
)  # fmt: skip


def test_the_written_reference_names_every_path_and_parameter(store: Store) -> None:
    text = "".join((DOCS / page).read_text() for page in REFERENCE)
    for endpoint in face_over(store).endpoints:
        assert re.sub(r":[^{}]*\}", "}", endpoint.path) in text
        for parameter in endpoint.query.parameters() if endpoint.query else ():
            assert re.search(f"`{re.escape(parameter.name)}[`=]", text), parameter.name
