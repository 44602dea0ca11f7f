-- What is sent to those elsewhere.

-- What boundaries send, until it is known to be sent, in the order in which it was written. The process may be gone.
CREATE TABLE message (
    ordinal bigserial NOT NULL,
    id bytea PRIMARY KEY,
    pid bytea NOT NULL,
    body bytea NOT NULL,
    -- The epoch under which it is to be sent, whether or not its lease has lapsed.
    sender bigint NOT NULL
);
CREATE INDEX message_sender ON message (sender, ordinal);

-- The same of a reply. Those of before are nobody's.
ALTER TABLE owed ADD COLUMN sender bigint NOT NULL DEFAULT 0;
CREATE INDEX owed_sender ON owed (sender);
