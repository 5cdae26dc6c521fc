-- How far each segment of the journal is in the tables, in bytes of its file.
CREATE TABLE journal_positions (
    segment TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
