-- What was done that only an admin may do; written before it is done. `outcome` is null until it is known.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    audit_id TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    actor TEXT,
    via TEXT NOT NULL,
    tenant TEXT,
    action TEXT NOT NULL,
    target TEXT,
    outcome TEXT
);

CREATE UNIQUE INDEX audit_id ON audit (audit_id);
CREATE INDEX audit_at ON audit (at_us);
