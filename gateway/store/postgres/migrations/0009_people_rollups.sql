-- What each person says of the requests of a day, as a JSON object of sums by person. Comparisons count persons.
CREATE TABLE people_rollups (
    span_us BIGINT NOT NULL,
    starts_at_us BIGINT NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C",
    value TEXT COLLATE "C",
    people TEXT COLLATE "C" NOT NULL
);
CREATE INDEX people_rollups_place ON people_rollups (span_us, field, starts_at_us);

-- Durations by prompt, environment and key are summed up from now on.
DELETE FROM rollup_seals WHERE kind = 'latencies';
