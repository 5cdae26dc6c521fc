-- Rules, and the requests that each version of one acted on. The positions are of `requests.seq` and
-- `feedback.change_seq`.
CREATE TABLE rules (
    rule_id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    filters TEXT COLLATE "C" NOT NULL,
    sample DOUBLE PRECISION NOT NULL,
    label TEXT COLLATE "C",
    review BOOLEAN NOT NULL,
    webhook_id TEXT COLLATE "C",
    delete_after_days BIGINT,
    source TEXT COLLATE "C" NOT NULL,
    disabled_at_us BIGINT,
    request_position BIGINT NOT NULL,
    feedback_position BIGINT NOT NULL,
    backfill_position BIGINT,
    backfill_end BIGINT,
    backfill_from_us BIGINT,
    created_at_us BIGINT NOT NULL,
    updated_at_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX rules_name ON rules (name, coalesce(tenant, ''));

CREATE TABLE rule_matches (
    rule_id TEXT COLLATE "C" NOT NULL,
    rule_version BIGINT NOT NULL,
    request_seq BIGINT NOT NULL,
    rule TEXT COLLATE "C" NOT NULL,
    is_review BOOLEAN NOT NULL,
    matched_at_us BIGINT NOT NULL,
    delete_at_us BIGINT,
    PRIMARY KEY (rule_id, rule_version, request_seq)
);
CREATE INDEX rule_matches_request ON rule_matches (request_seq, rule);
CREATE INDEX rule_matches_rule ON rule_matches (rule, request_seq);
CREATE INDEX rule_matches_delete ON rule_matches (delete_at_us) WHERE delete_at_us IS NOT NULL;
