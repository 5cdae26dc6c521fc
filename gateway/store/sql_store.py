"""The whole store over SQL: one class of each stored thing; what an engine adds is in its own `store`."""

from gateway.store.audit import SqlAudit
from gateway.store.datasets import SqlDatasets
from gateway.store.erasure import SqlErasure
from gateway.store.feedback import SqlFeedback
from gateway.store.keys import SqlKeys
from gateway.store.metrics import SqlMetrics
from gateway.store.requests import SqlRequests
from gateway.store.reviews import SqlReviews
from gateway.store.transfer import SqlTransfer


class SqlStore(
    SqlRequests, SqlMetrics, SqlFeedback, SqlReviews, SqlErasure, SqlDatasets, SqlKeys, SqlAudit, SqlTransfer
):
    """Everything that both engines store."""
