-- Some servers give each piece of a stream an id of its own, and some begin a stream again under another: every id that
-- was shown names the request, beside the one in its column `response_id`.
CREATE TABLE other_response_ids (
    response_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (response_id, seq)
);
CREATE INDEX other_response_ids_of ON other_response_ids (seq);

CREATE OR REPLACE VIEW aliases AS
SELECT trace_id AS alias, 'trace' AS kind, tenant, trace_id, CAST(NULL AS TEXT) AS request_id, seq FROM requests
UNION ALL
SELECT request_id, 'request', tenant, trace_id, request_id, seq FROM requests
UNION ALL
SELECT response_id, 'response', tenant, trace_id, request_id, seq FROM requests WHERE response_id IS NOT NULL
UNION ALL
SELECT other.response_id, 'response', tenant, trace_id, request_id, seq
FROM other_response_ids AS other JOIN requests USING (seq);
