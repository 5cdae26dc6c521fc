-- Sums by person as columns of numbers instead of JSON, which takes a comparison of many thousand persons a fraction of
-- the time; they are made again, of weeks, too.
DROP TABLE people_rollups;
CREATE TABLE people_rollups (
    span_us BIGINT NOT NULL,
    starts_at_us BIGINT NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C",
    value TEXT COLLATE "C",
    second TEXT COLLATE "C",
    third TEXT COLLATE "C",
    people TEXT COLLATE "C" NOT NULL,
    entries BYTEA NOT NULL,
    positive BYTEA NOT NULL,
    unsigned BYTEA NOT NULL,
    weight BYTEA NOT NULL,
    weighted_score BYTEA NOT NULL
);
CREATE INDEX people_rollups_place ON people_rollups (span_us, field, starts_at_us);
DELETE FROM rollup_seals WHERE kind = 'people';

-- What the requests of each user took, by hours, days and weeks, for rankings of all users.
CREATE TABLE user_rollups (
    span_us BIGINT NOT NULL,
    starts_at_us BIGINT NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C",
    value TEXT COLLATE "C",
    second TEXT COLLATE "C",
    third TEXT COLLATE "C",
    users TEXT COLLATE "C" NOT NULL,
    requests BYTEA NOT NULL,
    errors BYTEA NOT NULL,
    prompt_tokens BYTEA NOT NULL,
    completion_tokens BYTEA NOT NULL,
    cached_tokens BYTEA NOT NULL,
    tokens_counted BYTEA NOT NULL,
    cost_nanousd BYTEA NOT NULL,
    priced BYTEA NOT NULL,
    duration_us BYTEA NOT NULL,
    first_byte_us BYTEA NOT NULL,
    answered BYTEA NOT NULL,
    last_started_at_us BYTEA NOT NULL
);
CREATE INDEX user_rollups_place ON user_rollups (span_us, field, starts_at_us);
