-- What a conversation's or an agent run's requests have in common, as `_session` of their metadata says.
ALTER TABLE requests ADD COLUMN session TEXT;
UPDATE requests SET session = nullif(CAST(json_extract(metadata, '$._session') AS TEXT), '')
WHERE json_type(metadata, '$._session') IN ('text', 'integer', 'real');
CREATE INDEX requests_session ON requests (session) WHERE session IS NOT NULL;
CREATE INDEX requests_in_sessions ON requests (seq) WHERE session IS NOT NULL;

-- Sums that were made before know nothing of sessions; they are made again.
DELETE FROM rollup_seals;

CREATE INDEX feedback_author ON feedback (author) WHERE author IS NOT NULL;
CREATE INDEX feedback_versions_author ON feedback_versions (author) WHERE author IS NOT NULL;

DROP VIEW request_report;
CREATE VIEW request_report AS
SELECT
    seq, request_id, trace_id, span_id, parent_span_id, span_name, tenant, key_name,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at_us / 1e6, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', ended_at_us / 1e6, 'unixepoch') AS ended_at,
    (first_byte_at_us - started_at_us) / 1e3 AS first_byte_ms,
    (ended_at_us - started_at_us) / 1e3 AS duration_ms,
    provider, endpoint, requested_model, model, status, outcome, error, is_stream, attempt, cache_status,
    prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    cost_nanousd / 1e9 AS cost_usd, price_version, response_id, finish_reason,
    "user", organisation, prompt, environment, session, metadata, request_size, response_size, note,
    (
        SELECT sum(f.weight * f.score) / nullif(sum(f.weight), 0)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id AND f.tenant IS requests.tenant
            AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS trace_score,
    (
        SELECT count(*)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id AND f.tenant IS requests.tenant AND f.deleted_at_us IS NULL
    ) AS trace_feedback_count
FROM requests;
