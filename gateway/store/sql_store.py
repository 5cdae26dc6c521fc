"""The whole store over SQL: one class of each stored thing; what an engine adds is in its own `store`."""

from gateway.store.alerts import SqlAlerts
from gateway.store.audit import SqlAudit
from gateway.store.cached_answers import SqlCachedAnswers
from gateway.store.datasets import SqlDatasets
from gateway.store.erasure import SqlErasure
from gateway.store.exports import SqlExports
from gateway.store.feedback import SqlFeedback
from gateway.store.imports import SqlImports
from gateway.store.ingestion import SqlIngestion
from gateway.store.keys import SqlKeys
from gateway.store.requests import SqlRequests
from gateway.store.reviews import SqlReviews
from gateway.store.rules import SqlRules
from gateway.store.transfer import SqlTransfer
from gateway.store.users import SqlUsers
from gateway.store.webhooks import SqlWebhooks


class SqlStore(
    SqlRequests,
    SqlIngestion,
    SqlImports,
    SqlUsers,
    SqlFeedback,
    SqlReviews,
    SqlErasure,
    SqlExports,
    SqlDatasets,
    SqlKeys,
    SqlAudit,
    SqlAlerts,
    SqlWebhooks,
    SqlRules,
    SqlCachedAnswers,
    SqlTransfer,
):
    """Everything that both engines store."""
