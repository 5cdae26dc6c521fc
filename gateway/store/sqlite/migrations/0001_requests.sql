CREATE TABLE migrations (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at TEXT NOT NULL
);

CREATE TABLE requests (
    seq INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    span_id TEXT,
    parent_span_id TEXT,
    span_name TEXT,
    tenant TEXT,
    key_name TEXT,
    provider TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    started_at_us INTEGER NOT NULL,
    first_byte_at_us INTEGER,
    ended_at_us INTEGER NOT NULL,
    status INTEGER,
    outcome TEXT NOT NULL,
    error TEXT,
    is_stream INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    cache_status TEXT,
    "user" TEXT,
    organisation TEXT,
    prompt TEXT,
    environment TEXT,
    metadata TEXT NOT NULL,
    request_size INTEGER NOT NULL,
    response_size INTEGER NOT NULL,
    payloads TEXT NOT NULL,
    requested_model TEXT,
    model TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cached_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_nanousd INTEGER,
    price_version TEXT,
    response_id TEXT,
    finish_reason TEXT,
    note TEXT,
    interpreted_at_us INTEGER
);

CREATE INDEX requests_trace ON requests (trace_id, tenant);
CREATE INDEX requests_request ON requests (request_id);
CREATE INDEX requests_started ON requests (started_at_us);
CREATE INDEX requests_response ON requests (response_id) WHERE response_id IS NOT NULL;
CREATE INDEX requests_model ON requests (model, started_at_us) WHERE model IS NOT NULL;
CREATE INDEX requests_tenant ON requests (tenant) WHERE tenant IS NOT NULL;
CREATE INDEX requests_user ON requests ("user") WHERE "user" IS NOT NULL;
CREATE INDEX requests_organisation ON requests (organisation) WHERE organisation IS NOT NULL;
CREATE INDEX requests_prompt ON requests (prompt) WHERE prompt IS NOT NULL;
CREATE INDEX requests_environment ON requests (environment) WHERE environment IS NOT NULL;
CREATE INDEX requests_uninterpreted ON requests (seq) WHERE interpreted_at_us IS NULL;

CREATE TABLE payloads (
    seq INTEGER PRIMARY KEY,
    request_headers TEXT NOT NULL,
    request_codec TEXT NOT NULL,
    request_body BLOB NOT NULL,
    response_headers TEXT NOT NULL,
    response_codec TEXT NOT NULL,
    response_body BLOB NOT NULL
);
