-- What people say is summed up by the fields that queries asked for, too; and the time to the first byte as durations
-- are, beside them.
ALTER TABLE people_rollups ADD COLUMN second;
ALTER TABLE people_rollups ADD COLUMN third;
-- Only while somebody asks for it: each entry on a day has all sums of that day made again.
ALTER TABLE rollup_splits ADD COLUMN people_asked_at_us INTEGER NOT NULL DEFAULT 0;

ALTER TABLE latency_rollups ADD COLUMN measure TEXT NOT NULL DEFAULT 'duration';

-- What is said of users is summed up from fewer entries on, and of them by weeks, too.
DELETE FROM rollup_seals WHERE kind IN ('latencies', 'verdicts');

-- Counts what each of a page of users gave, without a look at the entries.
CREATE INDEX feedback_given ON feedback (author, tenant) WHERE author IS NOT NULL AND deleted_at_us IS NULL;
