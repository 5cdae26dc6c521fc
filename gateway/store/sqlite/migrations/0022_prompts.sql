-- By the version before `seq`, the newest requests of a prompt were found only by sorting all of them.
DROP INDEX requests_prompt;
CREATE INDEX requests_prompt ON requests (prompt) WHERE prompt IS NOT NULL;
