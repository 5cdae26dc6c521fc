-- The version of a request's prompt, as `_prompt_version` of its metadata says.
ALTER TABLE requests ADD COLUMN prompt_version TEXT;
UPDATE requests SET prompt_version = nullif(CAST(json_extract(metadata, '$._prompt_version') AS TEXT), '')
WHERE instr(metadata, '"_prompt_version"') > 0
    AND json_type(metadata, '$._prompt_version') IN ('text', 'integer', 'real');
DROP INDEX requests_prompt;
CREATE INDEX requests_prompt ON requests (prompt, prompt_version) WHERE prompt IS NOT NULL;

DROP VIEW request_report;
CREATE VIEW request_report AS
SELECT
    seq, request_id, trace_id, span_id, parent_span_id, span_name, tenant, key_name,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at_us / 1e6, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', ended_at_us / 1e6, 'unixepoch') AS ended_at,
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
        WHERE f.trace_id = requests.trace_id AND f.tenant IS requests.tenant
            AND f.deleted_at_us IS NULL AND f.score IS NOT NULL
    ) AS trace_score,
    (
        SELECT count(*)
        FROM feedback AS f
        WHERE f.trace_id = requests.trace_id AND f.tenant IS requests.tenant AND f.deleted_at_us IS NULL
    ) AS trace_feedback_count
FROM requests;
