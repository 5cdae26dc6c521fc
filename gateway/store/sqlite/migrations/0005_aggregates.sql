-- `grade` is the value on the scale of those who grade from -10 to 10; other values are put on it by their score.
ALTER TABLE feedback ADD COLUMN grade REAL;
ALTER TABLE feedback_versions ADD COLUMN grade REAL;
UPDATE feedback SET grade = CASE WHEN dialect = 'portkey' THEN value ELSE 10 * score END;
UPDATE feedback_versions SET grade = CASE WHEN dialect = 'portkey' THEN value ELSE 10 * score END;

-- The one request that an entry counts for in figures, and when it started.
ALTER TABLE feedback ADD COLUMN request_seq INTEGER;
ALTER TABLE feedback ADD COLUMN request_started_at_us INTEGER;
UPDATE feedback SET request_seq = (
    SELECT seq FROM requests AS r
    WHERE r.request_id = feedback.request_id AND r.trace_id = feedback.trace_id AND r.tenant IS feedback.tenant
    ORDER BY seq DESC LIMIT 1
) WHERE joined_at_us IS NOT NULL AND target = 'request';
UPDATE feedback SET request_seq = coalesce(
    (
        SELECT seq FROM requests AS r WHERE r.trace_id = feedback.trace_id AND r.tenant IS feedback.tenant
            AND r.started_at_us <= feedback.created_at_us
        ORDER BY r.started_at_us DESC, seq DESC LIMIT 1
    ),
    (
        SELECT seq FROM requests AS r WHERE r.trace_id = feedback.trace_id AND r.tenant IS feedback.tenant
        ORDER BY r.started_at_us, seq LIMIT 1
    )
) WHERE joined_at_us IS NOT NULL AND target = 'trace';
UPDATE feedback SET request_started_at_us = (SELECT started_at_us FROM requests WHERE seq = feedback.request_seq)
WHERE request_seq IS NOT NULL;
CREATE INDEX feedback_counted ON feedback (request_started_at_us) WHERE request_seq IS NOT NULL;
CREATE INDEX feedback_request_seq ON feedback (request_seq) WHERE request_seq IS NOT NULL;

-- Hours and days whose figures are summed up. While they are being summed up, `fields` is null.
CREATE TABLE rollup_seals (
    kind TEXT NOT NULL,
    span_us INTEGER NOT NULL,
    starts_at_us INTEGER NOT NULL,
    ticket TEXT NOT NULL,
    drawn_at_us INTEGER NOT NULL,
    fields TEXT,
    PRIMARY KEY (kind, span_us, starts_at_us)
) WITHOUT ROWID;

CREATE TABLE usage_rollups (
    span_us INTEGER NOT NULL,
    starts_at_us INTEGER NOT NULL,
    field TEXT NOT NULL,
    tenant TEXT,
    value,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    tokens_counted INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    priced INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    first_byte_us INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    last_started_at_us INTEGER NOT NULL
);
CREATE INDEX usage_rollups_place ON usage_rollups (span_us, field, starts_at_us);

CREATE TABLE latency_rollups (
    span_us INTEGER NOT NULL,
    starts_at_us INTEGER NOT NULL,
    field TEXT NOT NULL,
    tenant TEXT,
    value,
    classes TEXT NOT NULL
);
CREATE INDEX latency_rollups_place ON latency_rollups (span_us, field, starts_at_us);

CREATE TABLE verdict_rollups (
    span_us INTEGER NOT NULL,
    starts_at_us INTEGER NOT NULL,
    field TEXT NOT NULL,
    tenant TEXT,
    value,
    entries INTEGER NOT NULL,
    judged_requests INTEGER NOT NULL,
    scored INTEGER NOT NULL,
    positive INTEGER NOT NULL,
    weight REAL NOT NULL,
    weight_squared REAL NOT NULL,
    weighted_score REAL NOT NULL,
    squared_weighted_score REAL NOT NULL,
    squared_weighted_square REAL NOT NULL,
    weighted_grade REAL NOT NULL
);
CREATE INDEX verdict_rollups_place ON verdict_rollups (span_us, field, starts_at_us);

DROP VIEW feedback_report;
CREATE VIEW feedback_report AS
SELECT
    seq, feedback_id, version, tenant, subject_id, target, trace_id, request_id,
    joined_at_us IS NOT NULL AS is_joined,
    kind, metric, value, weight, score, weight * score AS weighted_score, grade, weight * grade AS weighted_grade,
    label, comment, original_text, edited_text,
    author, app_id, app_version, source, metadata, dialect, key_name,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at_us / 1e6, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at_us / 1e6, 'unixepoch') AS updated_at
FROM feedback
WHERE deleted_at_us IS NULL;
