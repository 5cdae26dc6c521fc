-- Fields (JSON) that queries asked for, by which rollups are split besides the standard ones. `split_id` is what
-- `field` of these rollups is, and in `fields` of `rollup_seals`; with a `-` before it, it has too many rows there.
CREATE TABLE rollup_splits (
    split_id TEXT PRIMARY KEY,
    fields TEXT NOT NULL,
    asked_at_us INTEGER NOT NULL,
    owner TEXT,
    lease_until_us INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE UNIQUE INDEX rollup_splits_fields ON rollup_splits (fields);

ALTER TABLE usage_rollups ADD COLUMN second;
ALTER TABLE usage_rollups ADD COLUMN third;
ALTER TABLE latency_rollups ADD COLUMN second;
ALTER TABLE latency_rollups ADD COLUMN third;
ALTER TABLE verdict_rollups ADD COLUMN second;
ALTER TABLE verdict_rollups ADD COLUMN third;
