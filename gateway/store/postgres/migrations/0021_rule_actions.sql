-- Rules add requests to datasets, and keep them longer than others.
ALTER TABLE rules ADD COLUMN dataset_id TEXT COLLATE "C";
ALTER TABLE rules ADD COLUMN keep_days BIGINT;
ALTER TABLE rule_matches ADD COLUMN keep_until_us BIGINT;
CREATE INDEX rule_matches_keep ON rule_matches (request_seq, keep_until_us) WHERE keep_until_us IS NOT NULL;

CREATE TABLE dataset_additions (
    dataset_id TEXT COLLATE "C" NOT NULL,
    request_seq BIGINT NOT NULL,
    added_at_us BIGINT NOT NULL,
    PRIMARY KEY (dataset_id, request_seq)
);
CREATE INDEX dataset_additions_request ON dataset_additions (request_seq);

-- By what the groups of a state are.
ALTER TABLE alert_states ADD COLUMN group_by TEXT COLLATE "C";
UPDATE alert_states SET group_by = (SELECT group_by FROM alerts WHERE alerts.alert_id = alert_states.alert_id);
