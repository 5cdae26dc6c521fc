-- Fields (JSON) that queries asked for, by which rollups are split besides the standard ones. `split_id` is what
-- `field` of these rollups is, and in `fields` of `rollup_seals`; with a `-` before it, it has too many rows there.
CREATE TABLE rollup_splits (
    split_id TEXT COLLATE "C" PRIMARY KEY,
    fields TEXT COLLATE "C" NOT NULL,
    asked_at_us BIGINT NOT NULL,
    owner TEXT COLLATE "C",
    lease_until_us BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX rollup_splits_fields ON rollup_splits (fields);

ALTER TABLE usage_rollups ADD COLUMN second TEXT COLLATE "C";
ALTER TABLE usage_rollups ADD COLUMN third TEXT COLLATE "C";
ALTER TABLE latency_rollups ADD COLUMN second TEXT COLLATE "C";
ALTER TABLE latency_rollups ADD COLUMN third TEXT COLLATE "C";
ALTER TABLE verdict_rollups ADD COLUMN second TEXT COLLATE "C";
ALTER TABLE verdict_rollups ADD COLUMN third TEXT COLLATE "C";
