-- The route that a request took, the target of it that the attempt went to, and why, as sentences.
ALTER TABLE requests ADD COLUMN route TEXT;
ALTER TABLE requests ADD COLUMN target TEXT;
ALTER TABLE requests ADD COLUMN route_trail TEXT;
