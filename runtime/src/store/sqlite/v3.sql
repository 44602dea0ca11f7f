-- Replies that processes owe at their end to those who wait elsewhere, until they are sent.
CREATE TABLE owed (
    pid TEXT NOT NULL,
    id TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (pid, id)
) STRICT, WITHOUT ROWID;
