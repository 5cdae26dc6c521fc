-- An answer and its edited form may come as entries of their own; `original_id` is the entry of kind `original` that an
-- edit has its `original_text` from. Earlier versions keep what they said themselves, so there it is always null.
ALTER TABLE feedback ADD COLUMN original_id TEXT COLLATE "C";
ALTER TABLE feedback_versions ADD COLUMN original_id TEXT COLLATE "C";

CREATE INDEX feedback_originals ON feedback (coalesce(trace_id, subject_id)) WHERE kind = 'original';
CREATE INDEX feedback_edits ON feedback (coalesce(trace_id, subject_id)) WHERE kind = 'edit';
CREATE INDEX feedback_original_id ON feedback (original_id) WHERE original_id IS NOT NULL;
