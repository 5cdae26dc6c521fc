"""The native face over a store, as it is joined together for tests."""

from __future__ import annotations

from pathlib import Path

from gateway.alerts.automation import AutomationServices
from gateway.alerts.definition import AlertService
from gateway.alerts.destinations import Destinations
from gateway.alerts.rules import RuleService
from gateway.alerts.webhooks import WebhookService
from gateway.api.native.routes import native_api
from gateway.api.native.tail import render_row
from gateway.auth.api_keys import ApiKeys
from gateway.auth.quotas import Quotas
from gateway.datasets.export_rows import ExportReader
from gateway.datasets.files import ExportFiles, ExportLinks
from gateway.datasets.format_exporter import NATIVE, FormatExporter
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.runner import ExportRunner
from gateway.datasets.services import ExportServices
from gateway.datasets.versions import DatasetService
from gateway.experiments.reader import ExperimentReader
from gateway.feedback.payloads import signed_scale, thumb_scale
from gateway.feedback.service import FeedbackService
from gateway.query.readers import Readers
from gateway.query.receipt import ReceiptReader
from gateway.query.tail import RequestTail
from gateway.reviews.agreement import AgreementReader
from gateway.reviews.queue import ReviewQueue
from gateway.store.base import Store
from gateway.web.endpoint import Api
from gateway.wire.pricing import ConfiguredPrice, PriceTable
from tests.api.api_server import MIB


class NoJournal:
    """Nothing waits outside the store."""

    async def wait(self) -> int:
        return 0

    async def purge(self) -> bool:
        return True


PRICES = {"priced": ConfiguredPrice(0.15, 0.6, cached=0.075)}


def face_over(
    store: Store,
    feedback: FeedbackService | None = None,
    keys: ApiKeys | None = None,
    tail: RequestTail | None = None,
    exports: ExportServices | None = None,
) -> Api:
    """Return the face, with nothing waiting outside the store."""
    receipts = ReceiptReader(PriceTable(PRICES), lambda _: None)
    return native_api(
        Readers.over(store, receipts, 30.0, NoJournal()),
        feedback or FeedbackService(store),
        tail or RequestTail(store, render_row),
        keys or ApiKeys({}, store),
        Quotas(store),
        lambda principal: thumb_scale if principal.name == "thumbs" else signed_scale,
        MIB,
        ReviewQueue(store),
        AgreementReader(store),
        exports or no_exports(store),
        AutomationServices(
            AlertService(store),
            WebhookService(store, lambda: Destinations(["127.0.0.1"])),
            RuleService(store),
        ),
        ExperimentReader(store, list),
    )


def no_exports(store: Store) -> ExportServices:
    """Exports without a runner: jobs wait for ever."""
    files = ExportFiles(Path("no-such-folder"))
    exporter = FormatExporter()
    jobs = ExportJobs(store, files, ExportRunner(store, files, {NATIVE: exporter}), NATIVE, exporter)
    return ExportServices(ExportReader(store), jobs, ExportLinks(store), DatasetService(store))
