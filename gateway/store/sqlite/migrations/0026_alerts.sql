-- Rules of alerts that were not written in the configuration file. `filters` is JSON.
CREATE TABLE alerts (
    seq INTEGER PRIMARY KEY,
    alert_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    tenant TEXT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    severity TEXT NOT NULL,
    measure TEXT NOT NULL,
    filters TEXT NOT NULL,
    group_by TEXT,
    direction TEXT NOT NULL,
    threshold REAL NOT NULL,
    window_us INTEGER NOT NULL,
    settle_us INTEGER NOT NULL,
    min_count INTEGER NOT NULL,
    test TEXT NOT NULL,
    no_data TEXT NOT NULL,
    renotify_us INTEGER,
    is_enabled INTEGER NOT NULL,
    key_name TEXT,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX alerts_id ON alerts (alert_id);
CREATE UNIQUE INDEX alerts_name ON alerts (name, coalesce(tenant, ''));

-- Whose turn it is to look at a rule: `run` grows with each turn and each change of the rule.
CREATE TABLE alert_checks (
    alert_id TEXT PRIMARY KEY,
    run INTEGER NOT NULL,
    next_at_us INTEGER NOT NULL,
    lease_until_us INTEGER NOT NULL,
    groups_left_out INTEGER NOT NULL,
    error TEXT
);

-- Where each rule stands for each group, and since when.
CREATE TABLE alert_states (
    alert_id TEXT NOT NULL,
    group_value TEXT NOT NULL,
    tenant TEXT,
    status TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    value REAL,
    low REAL,
    high REAL,
    sample INTEGER NOT NULL,
    evidence REAL,
    checked_at_us INTEGER NOT NULL,
    notified_at_us INTEGER,
    PRIMARY KEY (alert_id, group_value)
);

-- What people should hear of, in the order of `seq`.
CREATE TABLE alert_events (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    tenant TEXT,
    name TEXT NOT NULL,
    severity TEXT NOT NULL,
    kind TEXT NOT NULL,
    group_by TEXT,
    group_value TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    measure TEXT NOT NULL,
    direction TEXT NOT NULL,
    threshold REAL NOT NULL,
    window_us INTEGER NOT NULL,
    value REAL,
    low REAL,
    high REAL,
    sample INTEGER NOT NULL,
    message TEXT NOT NULL,
    description TEXT NOT NULL
);
CREATE UNIQUE INDEX alert_events_id ON alert_events (event_id);
CREATE INDEX alert_events_alert ON alert_events (alert_id, seq);
CREATE INDEX alert_events_at ON alert_events (at_us);
