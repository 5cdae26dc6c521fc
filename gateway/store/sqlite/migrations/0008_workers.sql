-- The worker that stored the row, and interprets it: its number, or whoever holds that number next.
ALTER TABLE requests ADD COLUMN worker INTEGER NOT NULL DEFAULT 0;
