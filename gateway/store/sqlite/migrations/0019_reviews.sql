-- Who works on a request, or has reviewed it: one row for all rows of a request in a trace. `reserved_until_us` is null
-- once it is reviewed.
CREATE TABLE reviews (
    seq INTEGER PRIMARY KEY,
    tenant TEXT,
    request_id TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    state TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    note TEXT,
    at_us INTEGER NOT NULL,
    reserved_until_us INTEGER
);

CREATE UNIQUE INDEX reviews_request ON reviews (request_id, trace_id, coalesce(tenant, ''));
CREATE INDEX reviews_at ON reviews (at_us);
CREATE INDEX reviews_reviewer ON reviews (reviewer, at_us);
