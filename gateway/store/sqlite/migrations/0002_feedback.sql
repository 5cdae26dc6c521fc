CREATE TABLE feedback (
    seq INTEGER PRIMARY KEY,
    feedback_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    tenant TEXT,
    subject_id TEXT NOT NULL,
    target TEXT NOT NULL,
    trace_id TEXT,
    request_id TEXT,
    joined_at_us INTEGER,
    kind TEXT NOT NULL,
    metric TEXT,
    value REAL,
    weight REAL NOT NULL,
    score REAL,
    label TEXT,
    comment TEXT,
    original_text TEXT,
    edited_text TEXT,
    author TEXT,
    app_id TEXT,
    app_version TEXT,
    source TEXT NOT NULL,
    metadata TEXT NOT NULL,
    dialect TEXT NOT NULL,
    raw TEXT NOT NULL,
    key_name TEXT,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    deleted_at_us INTEGER
);

CREATE UNIQUE INDEX feedback_id ON feedback (feedback_id);
CREATE INDEX feedback_trace ON feedback (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX feedback_request ON feedback (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX feedback_subject ON feedback (subject_id);
CREATE INDEX feedback_waiting ON feedback (subject_id) WHERE joined_at_us IS NULL;
CREATE INDEX feedback_created ON feedback (created_at_us);

CREATE TABLE feedback_versions (
    feedback_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    tenant TEXT,
    subject_id TEXT NOT NULL,
    target TEXT NOT NULL,
    trace_id TEXT,
    request_id TEXT,
    joined_at_us INTEGER,
    kind TEXT NOT NULL,
    metric TEXT,
    value REAL,
    weight REAL NOT NULL,
    score REAL,
    label TEXT,
    comment TEXT,
    original_text TEXT,
    edited_text TEXT,
    author TEXT,
    app_id TEXT,
    app_version TEXT,
    source TEXT NOT NULL,
    metadata TEXT NOT NULL,
    dialect TEXT NOT NULL,
    raw TEXT NOT NULL,
    key_name TEXT,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    deleted_at_us INTEGER,
    PRIMARY KEY (feedback_id, version)
);

CREATE TABLE receipts (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    feedback_ids TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
