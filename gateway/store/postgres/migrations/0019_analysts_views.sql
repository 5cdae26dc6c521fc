-- The views of SQLite's migration 0029: times as numbers, too, and facts without text times, whose sums over requests are
-- right, since each entry counts for one request.
DROP VIEW request_report;
CREATE VIEW request_report AS
SELECT
    seq, request_id, trace_id, span_id, parent_span_id, span_name, tenant, key_name,
    utc_text(started_at_us) AS started_at,
    utc_text(ended_at_us) AS ended_at,
    started_at_us, ended_at_us,
    CAST(first_byte_at_us - started_at_us AS DOUBLE PRECISION) / 1000 AS first_byte_ms,
    CAST(ended_at_us - started_at_us AS DOUBLE PRECISION) / 1000 AS duration_ms,
    provider, endpoint, requested_model, model, status, outcome, error, is_stream, attempt,
    client_retry, cache_status,
    prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    CAST(cost_nanousd AS DOUBLE PRECISION) / 1e9 AS cost_usd, price_version, response_id, finish_reason,
    "user", organisation, prompt, prompt_version, environment, session, metadata, request_size, response_size, note,
    (
        SELECT sum(f.weight * f.score) / nullif(sum(f.weight), 0)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id
            AND f.tenant IS NOT DISTINCT FROM requests.tenant
            AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS trace_score,
    (
        SELECT count(f.seq)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id
            AND f.tenant IS NOT DISTINCT FROM requests.tenant
            AND f.deleted_at_us IS NULL
    ) AS trace_feedback_count
FROM requests;

DROP VIEW trace_report;
CREATE VIEW trace_report AS
SELECT
    trace_id, tenant,
    count(seq) AS requests,
    utc_text(min(started_at_us)) AS started_at,
    utc_text(max(ended_at_us)) AS ended_at,
    min(started_at_us) AS started_at_us,
    max(ended_at_us) AS ended_at_us,
    count(*) FILTER (WHERE outcome <> 'complete') AS incomplete_requests,
    CAST(sum(prompt_tokens) AS BIGINT) AS prompt_tokens,
    CAST(sum(completion_tokens) AS BIGINT) AS completion_tokens,
    CAST(sum(cost_nanousd) AS DOUBLE PRECISION) / 1e9 AS cost_usd,
    (
        SELECT sum(f.weight * f.score) / nullif(sum(f.weight), 0)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id
            AND f.tenant IS NOT DISTINCT FROM requests.tenant
            AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS score,
    (
        SELECT count(f.seq)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id
            AND f.tenant IS NOT DISTINCT FROM requests.tenant
            AND f.deleted_at_us IS NULL
    ) AS feedback_count
FROM requests
GROUP BY trace_id, tenant;

DROP VIEW feedback_report;
CREATE VIEW feedback_report AS
SELECT
    seq, feedback_id, version, tenant, subject_id, target, trace_id, request_id, session, request_seq,
    joined_at_us IS NOT NULL AS is_joined,
    kind, metric, value, weight, score, weight * score AS weighted_score, grade, weight * grade AS weighted_grade,
    label, comment, original_text, edited_text,
    author, app_id, app_version, source, metadata, dialect, key_name,
    utc_text(created_at_us) AS created_at,
    utc_text(updated_at_us) AS updated_at,
    created_at_us, updated_at_us
FROM feedback
WHERE deleted_at_us IS NULL;

CREATE VIEW request_facts AS
SELECT
    seq, request_id, trace_id, span_id, parent_span_id, span_name, tenant, key_name,
    started_at_us, first_byte_at_us, ended_at_us,
    CAST(ended_at_us - started_at_us AS DOUBLE PRECISION) / 1000 AS duration_ms,
    provider, endpoint, requested_model, model, status, outcome, error, is_stream, attempt,
    client_retry, cache_status,
    prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    cost_nanousd, price_version, response_id, finish_reason,
    "user", organisation, prompt, prompt_version, environment, session, metadata, request_size, response_size, note,
    (
        SELECT count(f.seq)
        FROM feedback AS f
        WHERE f.request_seq = requests.seq AND f.deleted_at_us IS NULL
            AND (f.kind <> 'original' OR f.score IS NOT NULL)
    ) AS feedback_count,
    (
        SELECT coalesce(sum(f.weight), 0.0)
        FROM feedback AS f
        WHERE f.request_seq = requests.seq AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS score_weight,
    (
        SELECT coalesce(sum(f.weight * f.score), 0.0)
        FROM feedback AS f
        WHERE f.request_seq = requests.seq AND f.deleted_at_us IS NULL
    ) AS weighted_score
FROM requests;

CREATE VIEW feedback_facts AS
SELECT
    seq, feedback_id, version, tenant, subject_id, target, trace_id, request_id, session,
    request_seq, request_started_at_us,
    joined_at_us IS NOT NULL AS is_joined,
    kind, metric, value, weight, score, grade,
    label, comment, original_text, edited_text,
    author, app_id, app_version, source, metadata, dialect, key_name,
    created_at_us, updated_at_us
FROM feedback
WHERE deleted_at_us IS NULL;
