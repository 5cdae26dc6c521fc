-- Filters saved under a name, unique within a tenant.
CREATE TABLE datasets (
    seq INTEGER PRIMARY KEY,
    dataset_id TEXT NOT NULL,
    tenant TEXT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    filters TEXT NOT NULL,
    created_by TEXT,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL
);

CREATE UNIQUE INDEX datasets_id ON datasets (dataset_id);
CREATE UNIQUE INDEX datasets_name ON datasets (name, coalesce(tenant, ''));

CREATE TABLE dataset_versions (
    seq INTEGER PRIMARY KEY,
    version_id TEXT NOT NULL,
    dataset_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    filters TEXT NOT NULL,
    "rows" INTEGER NOT NULL,
    feedback INTEGER NOT NULL,
    created_by TEXT,
    frozen_at_us INTEGER NOT NULL
);

CREATE UNIQUE INDEX dataset_versions_number ON dataset_versions (dataset_id, number);

-- Requests of a version, in order, up to a thousand together: [[seq, [[feedback_id, version, counts], ...]], ...].
CREATE TABLE dataset_chunks (
    version_id TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    requests TEXT NOT NULL,
    PRIMARY KEY (version_id, last_seq)
) WITHOUT ROWID;
