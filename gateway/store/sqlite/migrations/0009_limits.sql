-- A JSON list of limits, each as `600 requests/minute`.
ALTER TABLE keys ADD COLUMN limits TEXT NOT NULL DEFAULT '[]';

-- What each key has used in the window at hand: requests, tokens, or nano-dollars where the unit is usd.
CREATE TABLE spendings (
    key_name TEXT NOT NULL,
    unit TEXT NOT NULL,
    "window" TEXT NOT NULL,
    starts_at_us INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (key_name, unit, "window")
) WITHOUT ROWID;
