-- The highest `seq` that a deleted request had, so that no later one gets it again.
CREATE TABLE expired (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_seq INTEGER NOT NULL
);

INSERT INTO expired (id, last_seq) VALUES (1, 0);
