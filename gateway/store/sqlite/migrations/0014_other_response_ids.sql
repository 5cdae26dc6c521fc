-- Some servers give each piece of a stream an id of its own, and some begin a stream again under another: every id that
-- was shown names the request, beside the one in its column `response_id`.
CREATE TABLE other_response_ids (
    response_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (response_id, seq)
) WITHOUT ROWID;
CREATE INDEX other_response_ids_of ON other_response_ids (seq);

DROP VIEW aliases;
CREATE VIEW aliases AS
SELECT trace_id AS alias, 'trace' AS kind, tenant, trace_id, NULL AS request_id, seq FROM requests
UNION ALL
SELECT request_id, 'request', tenant, trace_id, request_id, seq FROM requests
UNION ALL
SELECT response_id, 'response', tenant, trace_id, request_id, seq FROM requests WHERE response_id IS NOT NULL
UNION ALL
SELECT other.response_id, 'response', tenant, trace_id, request_id, seq
FROM other_response_ids AS other JOIN requests USING (seq);
