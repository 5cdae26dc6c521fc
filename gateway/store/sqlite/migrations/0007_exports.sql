CREATE TABLE exports (
    seq INTEGER PRIMARY KEY,
    export_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    tenant TEXT,
    key_name TEXT,
    exporter TEXT NOT NULL,
    description TEXT NOT NULL,
    filters TEXT NOT NULL,
    columns TEXT NOT NULL,
    status TEXT NOT NULL,
    last_seq INTEGER,
    rows_total INTEGER,
    rows_done INTEGER NOT NULL,
    file TEXT,
    error TEXT,
    owner TEXT,
    lease_until_us INTEGER,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL
);

CREATE UNIQUE INDEX exports_id ON exports (export_id);

CREATE TABLE export_link_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL
);
