-- The request whose answer was given again from the cache.
ALTER TABLE requests ADD COLUMN cache_source_request_id TEXT;

-- Answers that are given again to equal requests; the body is a zstd frame, the headers are JSON. Until
-- `rests_until_us` nothing is kept under a key whose answer got bad feedback.
CREATE TABLE cached_answers (
    key TEXT NOT NULL PRIMARY KEY,
    tenant TEXT,
    trace_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    headers TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    rests_until_us INTEGER,
    body BLOB NOT NULL
);
CREATE INDEX cached_answers_request ON cached_answers (request_id);
CREATE INDEX cached_answers_age ON cached_answers (created_at_us, size_bytes);
CREATE INDEX cached_answers_expiry ON cached_answers (expires_at_us);
