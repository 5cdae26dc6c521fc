-- The experiment that a request was part of, with its version, and the variant that it was assigned to.
ALTER TABLE requests ADD COLUMN experiment TEXT;
ALTER TABLE requests ADD COLUMN variant TEXT;
