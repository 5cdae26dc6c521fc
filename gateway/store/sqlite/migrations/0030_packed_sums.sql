-- Sums by person as columns of numbers instead of JSON, which takes a comparison of many thousand persons a fraction of
-- the time; they are made again, of weeks, too.
DROP TABLE people_rollups;
CREATE TABLE people_rollups (
    span_us INTEGER NOT NULL,
    starts_at_us INTEGER NOT NULL,
    field TEXT NOT NULL,
    tenant TEXT,
    value,
    second,
    third,
    people TEXT NOT NULL,
    entries BLOB NOT NULL,
    positive BLOB NOT NULL,
    unsigned BLOB NOT NULL,
    weight BLOB NOT NULL,
    weighted_score BLOB NOT NULL
);
CREATE INDEX people_rollups_place ON people_rollups (span_us, field, starts_at_us);
DELETE FROM rollup_seals WHERE kind = 'people';

-- What the requests of each user took, by hours, days and weeks, for rankings of all users.
CREATE TABLE user_rollups (
    span_us INTEGER NOT NULL,
    starts_at_us INTEGER NOT NULL,
    field TEXT NOT NULL,
    tenant TEXT,
    value,
    second,
    third,
    users TEXT NOT NULL,
    requests BLOB NOT NULL,
    errors BLOB NOT NULL,
    prompt_tokens BLOB NOT NULL,
    completion_tokens BLOB NOT NULL,
    cached_tokens BLOB NOT NULL,
    tokens_counted BLOB NOT NULL,
    cost_nanousd BLOB NOT NULL,
    priced BLOB NOT NULL,
    duration_us BLOB NOT NULL,
    first_byte_us BLOB NOT NULL,
    answered BLOB NOT NULL,
    last_started_at_us BLOB NOT NULL
);
CREATE INDEX user_rollups_place ON user_rollups (span_us, field, starts_at_us);
