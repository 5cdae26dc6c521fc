-- Who is signed in to the web pages: the SHA-256 of a cookie, and of the key that it was given for.
CREATE TABLE sign_ins (
    token_sha256 TEXT PRIMARY KEY,
    key_sha256 TEXT NOT NULL,
    expires_at_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sign_ins_expiry ON sign_ins (expires_at_us);
