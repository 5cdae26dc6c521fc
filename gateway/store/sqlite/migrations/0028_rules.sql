-- Rules, and the requests that each version of one acted on. The positions are of `requests.seq` and
-- `feedback.change_seq`.
CREATE TABLE rules (
    rule_id TEXT PRIMARY KEY,
    tenant TEXT,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    filters TEXT NOT NULL,
    sample REAL NOT NULL,
    label TEXT,
    review INTEGER NOT NULL,
    webhook_id TEXT,
    delete_after_days INTEGER,
    source TEXT NOT NULL,
    disabled_at_us INTEGER,
    request_position INTEGER NOT NULL,
    feedback_position INTEGER NOT NULL,
    backfill_position INTEGER,
    backfill_end INTEGER,
    backfill_from_us INTEGER,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX rules_name ON rules (name, coalesce(tenant, ''));

CREATE TABLE rule_matches (
    rule_id TEXT NOT NULL,
    rule_version INTEGER NOT NULL,
    request_seq INTEGER NOT NULL,
    rule TEXT NOT NULL,
    is_review INTEGER NOT NULL,
    matched_at_us INTEGER NOT NULL,
    delete_at_us INTEGER,
    PRIMARY KEY (rule_id, rule_version, request_seq)
) WITHOUT ROWID;
CREATE INDEX rule_matches_request ON rule_matches (request_seq, rule);
CREATE INDEX rule_matches_rule ON rule_matches (rule, request_seq);
CREATE INDEX rule_matches_delete ON rule_matches (delete_at_us) WHERE delete_at_us IS NOT NULL;
