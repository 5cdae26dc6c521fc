-- `change_seq` numbers each version of feedback as it is stored; older ones have none. `feedback_changes` has the
-- highest number of an entry that was deleted, which must not be given again.
ALTER TABLE feedback ADD COLUMN change_seq INTEGER;
ALTER TABLE feedback_versions ADD COLUMN change_seq INTEGER;
CREATE INDEX feedback_change ON feedback (change_seq) WHERE change_seq IS NOT NULL;
CREATE INDEX feedback_versions_change ON feedback_versions (change_seq) WHERE change_seq IS NOT NULL;
CREATE TABLE feedback_changes (last_seq INTEGER NOT NULL);
INSERT INTO feedback_changes (last_seq) VALUES (0);

-- Endpoints that are notified. The positions are of `feedback.change_seq` and `requests.seq`.
CREATE TABLE webhooks (
    webhook_id TEXT PRIMARY KEY,
    tenant TEXT,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    filters TEXT NOT NULL,
    include TEXT NOT NULL,
    source TEXT NOT NULL,
    secret TEXT NOT NULL,
    old_secret TEXT,
    old_secret_until_us INTEGER,
    disabled_at_us INTEGER,
    disabled_reason TEXT,
    failing_since_us INTEGER,
    failures INTEGER NOT NULL,
    paused_until_us INTEGER,
    feedback_position INTEGER NOT NULL,
    request_position INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    owner TEXT,
    lease_until_us INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX webhooks_name ON webhooks (name, coalesce(tenant, ''));

-- Messages to endpoints; `body` is null once what it was about was withdrawn or erased.
CREATE TABLE webhook_deliveries (
    seq INTEGER PRIMARY KEY,
    delivery_id TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    tenant TEXT,
    type TEXT NOT NULL,
    feedback_id TEXT,
    request_seq INTEGER,
    body TEXT,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_at_us INTEGER,
    created_at_us INTEGER NOT NULL,
    last_at_us INTEGER,
    status INTEGER,
    error TEXT
);
CREATE UNIQUE INDEX webhook_deliveries_id ON webhook_deliveries (delivery_id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_at_us) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_feedback ON webhook_deliveries (feedback_id) WHERE feedback_id IS NOT NULL;
CREATE INDEX webhook_deliveries_request ON webhook_deliveries (request_seq) WHERE request_seq IS NOT NULL;
CREATE INDEX webhook_deliveries_created ON webhook_deliveries (created_at_us);
