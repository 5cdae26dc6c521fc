-- The request whose answer was given again from the cache.
ALTER TABLE requests ADD COLUMN cache_source_request_id TEXT COLLATE "C";

-- Answers that are given again to equal requests; the body is a zstd frame, the headers are JSON. Until
-- `rests_until_us` nothing is kept under a key whose answer got bad feedback.
CREATE TABLE cached_answers (
    key TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C",
    trace_id TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    headers TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL,
    rests_until_us BIGINT,
    body BYTEA NOT NULL
);
CREATE INDEX cached_answers_request ON cached_answers (request_id);
CREATE INDEX cached_answers_age ON cached_answers (created_at_us, size_bytes);
CREATE INDEX cached_answers_expiry ON cached_answers (expires_at_us);
