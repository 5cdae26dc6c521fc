-- Microseconds since the epoch as UTC text, as it reads in SQLite's views.
CREATE FUNCTION utc_text(time_us BIGINT) RETURNS TEXT LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS
$$ SELECT to_char(TIMESTAMP 'epoch' + time_us / 1000 * INTERVAL '1 millisecond', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

-- The ids by which feedback may name what was logged. Read through the indexes of requests, never stored twice.
CREATE VIEW aliases AS
SELECT trace_id AS alias, 'trace' AS kind, tenant, trace_id, CAST(NULL AS TEXT) AS request_id, seq FROM requests
UNION ALL
SELECT request_id, 'request', tenant, trace_id, request_id, seq FROM requests
UNION ALL
SELECT response_id, 'response', tenant, trace_id, request_id, seq FROM requests WHERE response_id IS NOT NULL;

CREATE VIEW feedback_report AS
SELECT
    seq, feedback_id, version, tenant, subject_id, target, trace_id, request_id,
    joined_at_us IS NOT NULL AS is_joined,
    kind, metric, value, weight, score, weight * score AS weighted_score, grade, weight * grade AS weighted_grade,
    label, comment, original_text, edited_text,
    author, app_id, app_version, source, metadata, dialect, key_name,
    utc_text(created_at_us) AS created_at,
    utc_text(updated_at_us) AS updated_at
FROM feedback
WHERE deleted_at_us IS NULL;

CREATE VIEW request_report AS
SELECT
    seq, request_id, trace_id, span_id, parent_span_id, span_name, tenant, key_name,
    utc_text(started_at_us) AS started_at,
    utc_text(ended_at_us) AS ended_at,
    CAST(first_byte_at_us - started_at_us AS DOUBLE PRECISION) / 1000 AS first_byte_ms,
    CAST(ended_at_us - started_at_us AS DOUBLE PRECISION) / 1000 AS duration_ms,
    provider, endpoint, requested_model, model, status, outcome, error, is_stream, attempt, cache_status,
    prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    CAST(cost_nanousd AS DOUBLE PRECISION) / 1e9 AS cost_usd, price_version, response_id, finish_reason,
    "user", organisation, prompt, environment, session, metadata, request_size, response_size, note,
    (
        SELECT sum(f.weight * f.score) / nullif(sum(f.weight), 0)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id AND f.tenant IS NOT DISTINCT FROM requests.tenant
            AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS trace_score,
    (
        SELECT count(*)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id AND f.tenant IS NOT DISTINCT FROM requests.tenant
            AND f.deleted_at_us IS NULL
    ) AS trace_feedback_count
FROM requests;

CREATE VIEW trace_report AS
SELECT
    trace_id, tenant,
    count(*) AS requests,
    utc_text(min(started_at_us)) AS started_at,
    utc_text(max(ended_at_us)) AS ended_at,
    count(*) FILTER (WHERE outcome <> 'complete') AS incomplete_requests,
    CAST(sum(prompt_tokens) AS BIGINT) AS prompt_tokens,
    CAST(sum(completion_tokens) AS BIGINT) AS completion_tokens,
    CAST(sum(cost_nanousd) AS DOUBLE PRECISION) / 1e9 AS cost_usd,
    (
        SELECT sum(f.weight * f.score) / nullif(sum(f.weight), 0)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id AND f.tenant IS NOT DISTINCT FROM requests.tenant
            AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS score,
    (
        SELECT count(*)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id AND f.tenant IS NOT DISTINCT FROM requests.tenant
            AND f.deleted_at_us IS NULL
    ) AS feedback_count
FROM requests
GROUP BY trace_id, tenant;
