-- What boundaries send to those elsewhere, until it is known to be sent, in the order in which it was written; and under
-- which epoch it is to be sent.
CREATE TABLE message (
    ordinal INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    pid TEXT NOT NULL,
    sender INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE INDEX message_sender ON message (sender, ordinal);

ALTER TABLE owed ADD COLUMN sender INTEGER NOT NULL DEFAULT 0;
CREATE INDEX owed_sender ON owed (sender);
