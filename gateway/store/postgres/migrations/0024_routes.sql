-- The route that a request took, the target of it that the attempt went to, and why, as sentences.
ALTER TABLE requests ADD COLUMN route TEXT COLLATE "C";
ALTER TABLE requests ADD COLUMN target TEXT COLLATE "C";
ALTER TABLE requests ADD COLUMN route_trail TEXT COLLATE "C";
