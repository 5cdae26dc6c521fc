CREATE TABLE keys (
    seq INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    roles TEXT NOT NULL,
    tenant TEXT,
    created_at_us INTEGER NOT NULL,
    revoked_at_us INTEGER
);

CREATE UNIQUE INDEX keys_live ON keys (name) WHERE revoked_at_us IS NULL;

CREATE TABLE heartbeat (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    beats INTEGER NOT NULL,
    padding BLOB NOT NULL
);

INSERT INTO heartbeat (id, beats, padding) VALUES (1, 0, x'');
