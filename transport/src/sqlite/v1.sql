-- Who has the file open. The beat changes while it lives.
CREATE TABLE member (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    beat INTEGER NOT NULL,
    lease_ms INTEGER NOT NULL
);

-- kind: 0 pipeline, 1 pubsub, 2 mailbox, which has names of its own.
CREATE TABLE topic (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    is_mailbox INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    capacity INTEGER NOT NULL,
    is_lasting INTEGER NOT NULL,
    is_over INTEGER NOT NULL DEFAULT 0,
    is_told INTEGER NOT NULL DEFAULT 0,
    UNIQUE (is_mailbox, name)
);

-- A queue: of a pipeline and a mailbox there is one, of pubsub one for each subscriber.
-- Its items have the numbers (id << 43) + 1 to (id << 43) + tail; those up to the cursor were taken.
CREATE TABLE line (
    id INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL,
    tail INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL DEFAULT 0,
    -- Items that were not given out, also where a receiver has taken them ahead.
    waiting INTEGER NOT NULL DEFAULT 0,
    -- Items that were given out.
    held INTEGER NOT NULL DEFAULT 0,
    -- Items that were given back, and wait.
    backs INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX line_topic ON line (topic);

CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    envelope BLOB NOT NULL
);

-- Items that were given back, free or in the hands of another end.
CREATE TABLE back (
    id INTEGER PRIMARY KEY,
    again INTEGER NOT NULL,
    holder INTEGER
);

-- Items that an end has taken for the first time; so many of them are left.
CREATE TABLE hold (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    holder INTEGER NOT NULL,
    left INTEGER NOT NULL
);
CREATE INDEX hold_holder ON hold (holder);

-- kind: 0 sends, 1 receives, 2 has left and still holds items, 3 receives alone.
CREATE TABLE end (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    member INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    line INTEGER,
    kind INTEGER NOT NULL,
    held INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX end_topic ON end (topic);
CREATE INDEX end_member ON end (member);

-- The last number of each sender, so that what is sent twice is taken once.
CREATE TABLE sender (
    topic INTEGER NOT NULL,
    name TEXT NOT NULL,
    last INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    PRIMARY KEY (topic, name)
) WITHOUT ROWID;
