-- How far each segment of the journal is in the tables, in bytes of its file.
CREATE TABLE journal_positions (
    segment TEXT COLLATE "C" PRIMARY KEY,
    position BIGINT NOT NULL
);
