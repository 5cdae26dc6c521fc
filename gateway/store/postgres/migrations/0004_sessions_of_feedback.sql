-- The session that an entry is about.
ALTER TABLE feedback ADD COLUMN session TEXT COLLATE "C";
ALTER TABLE feedback_versions ADD COLUMN session TEXT COLLATE "C";
CREATE INDEX feedback_session ON feedback (session) WHERE session IS NOT NULL;

-- A trace may be long, and only what was said of it as a whole is looked up for each of its requests.
DROP INDEX feedback_trace;
CREATE INDEX feedback_trace ON feedback (trace_id, target) WHERE trace_id IS NOT NULL;

-- What says good or bad: where there is little of it, requests are found by it.
CREATE INDEX feedback_score ON feedback (score) WHERE score IS NOT NULL;

DROP VIEW feedback_report;
CREATE VIEW feedback_report AS
SELECT
    seq, feedback_id, version, tenant, subject_id, target, trace_id, request_id, session,
    joined_at_us IS NOT NULL AS is_joined,
    kind, metric, value, weight, score, weight * score AS weighted_score, grade, weight * grade AS weighted_grade,
    label, comment, original_text, edited_text,
    author, app_id, app_version, source, metadata, dialect, key_name,
    utc_text(created_at_us) AS created_at,
    utc_text(updated_at_us) AS updated_at
FROM feedback
WHERE deleted_at_us IS NULL;
