-- Who is signed in to the web pages: the SHA-256 of a cookie, and of the key that it was given for.
CREATE TABLE sign_ins (
    token_sha256 TEXT COLLATE "C" PRIMARY KEY,
    key_sha256 TEXT COLLATE "C" NOT NULL,
    expires_at_us BIGINT NOT NULL
);
CREATE INDEX sign_ins_expiry ON sign_ins (expires_at_us);
