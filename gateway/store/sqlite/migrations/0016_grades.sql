-- Grades that are no thumbs: whether a key has ever given one is asked while votes come in.
CREATE INDEX feedback_grades ON feedback (key_name)
WHERE kind = 'rating' AND grade = value AND value <> 0 AND value <> 1;
