-- DuckDB parses the text of a view itself. It does not know `IS` between columns. If it does not know one function, such
-- as `strftime` of three arguments, all columns of the view are text, and it writes the query anew for SQLite, with
-- `count_star()` for `count(*)`, which SQLite does not know.
DROP VIEW request_report;
CREATE VIEW request_report AS
SELECT
    seq, request_id, trace_id, span_id, parent_span_id, span_name, tenant, key_name,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at_us / 1e6, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', ended_at_us / 1e6, 'unixepoch') AS ended_at,
    started_at_us, ended_at_us,
    (first_byte_at_us - started_at_us) / 1e3 AS first_byte_ms,
    (ended_at_us - started_at_us) / 1e3 AS duration_ms,
    provider, endpoint, requested_model, model, status, outcome, error, is_stream, attempt,
    client_retry, cache_status,
    prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    cost_nanousd / 1e9 AS cost_usd, price_version, response_id, finish_reason,
    "user", organisation, prompt, prompt_version, environment, session, metadata, request_size, response_size, note,
    (
        SELECT sum(f.weight * f.score) / nullif(sum(f.weight), 0)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id
            AND (f.tenant = requests.tenant OR (f.tenant IS NULL AND requests.tenant IS NULL))
            AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS trace_score,
    (
        SELECT count(f.seq)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id
            AND (f.tenant = requests.tenant OR (f.tenant IS NULL AND requests.tenant IS NULL))
            AND f.deleted_at_us IS NULL
    ) AS trace_feedback_count
FROM requests;

DROP VIEW trace_report;
CREATE VIEW trace_report AS
SELECT
    trace_id, tenant,
    count(seq) AS requests,
    strftime('%Y-%m-%dT%H:%M:%fZ', min(started_at_us) / 1e6, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', max(ended_at_us) / 1e6, 'unixepoch') AS ended_at,
    min(started_at_us) AS started_at_us,
    max(ended_at_us) AS ended_at_us,
    sum(outcome <> 'complete') AS incomplete_requests,
    sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens,
    sum(cost_nanousd) / 1e9 AS cost_usd,
    (
        SELECT sum(f.weight * f.score) / nullif(sum(f.weight), 0)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id
            AND (f.tenant = requests.tenant OR (f.tenant IS NULL AND requests.tenant IS NULL))
            AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS score,
    (
        SELECT count(f.seq)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id
            AND (f.tenant = requests.tenant OR (f.tenant IS NULL AND requests.tenant IS NULL))
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
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at_us / 1e6, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at_us / 1e6, 'unixepoch') AS updated_at,
    created_at_us, updated_at_us
FROM feedback
WHERE deleted_at_us IS NULL;

-- What SQLite tells of a column is what the first SELECT has there: its type, and whether it is null at first.
DROP VIEW aliases;
CREATE VIEW aliases AS
SELECT request_id AS alias, 'request' AS kind, tenant, trace_id, request_id, seq FROM requests
UNION ALL
SELECT trace_id, 'trace', tenant, trace_id, NULL, seq FROM requests
UNION ALL
SELECT response_id, 'response', tenant, trace_id, request_id, seq FROM requests WHERE response_id IS NOT NULL
UNION ALL
SELECT other.response_id, 'response', tenant, trace_id, request_id, seq
FROM other_response_ids AS other JOIN requests USING (seq);

-- For tools that derive types from the declared ones and from values: a column is a stored one as it is, or computed and
-- never null. Each entry counts for one request, so that sums over requests are right.
CREATE VIEW request_facts AS
SELECT
    seq, request_id, trace_id, span_id, parent_span_id, span_name, tenant, key_name,
    started_at_us, first_byte_at_us, ended_at_us,
    (ended_at_us - started_at_us) / 1e3 AS duration_ms,
    provider, endpoint, requested_model, model, status, outcome, error, is_stream <> 0 AS is_stream, attempt,
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
