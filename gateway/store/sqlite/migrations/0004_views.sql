-- The ids by which feedback may name what was logged. Read through the indexes of requests, never stored twice.
CREATE VIEW aliases AS
SELECT trace_id AS alias, 'trace' AS kind, tenant, trace_id, NULL AS request_id, seq FROM requests
UNION ALL
SELECT request_id, 'request', tenant, trace_id, request_id, seq FROM requests
UNION ALL
SELECT response_id, 'response', tenant, trace_id, request_id, seq FROM requests WHERE response_id IS NOT NULL;

CREATE VIEW feedback_report AS
SELECT
    seq, feedback_id, version, tenant, subject_id, target, trace_id, request_id,
    joined_at_us IS NOT NULL AS is_joined,
    kind, metric, value, weight, score, weight * score AS weighted_score, label, comment, original_text, edited_text,
    author, app_id, app_version, source, metadata, dialect, key_name,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at_us / 1e6, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at_us / 1e6, 'unixepoch') AS updated_at
FROM feedback
WHERE deleted_at_us IS NULL;

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
    "user", organisation, prompt, environment, metadata, request_size, response_size, note,
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

CREATE VIEW trace_report AS
SELECT
    trace_id, tenant,
    count(*) AS requests,
    strftime('%Y-%m-%dT%H:%M:%fZ', min(started_at_us) / 1e6, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', max(ended_at_us) / 1e6, 'unixepoch') AS ended_at,
    sum(outcome <> 'complete') AS incomplete_requests,
    sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens,
    sum(cost_nanousd) / 1e9 AS cost_usd,
    (
        SELECT sum(f.weight * f.score) / nullif(sum(f.weight), 0)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id AND f.tenant IS requests.tenant
            AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS score,
    (
        SELECT count(*)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id AND f.tenant IS requests.tenant AND f.deleted_at_us IS NULL
    ) AS feedback_count
FROM requests
GROUP BY trace_id, tenant;
