-- Several workers on one file: who they are, and which process is whose.

-- Whether workers have joined since someone owned the whole store; `worker` and `share` are empty otherwise.
ALTER TABLE store ADD COLUMN shared INTEGER NOT NULL DEFAULT 0;

-- A worker's lease is one row, whatever it owns. Times are in milliseconds, by the clock of the machine.
CREATE TABLE worker (
    epoch INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    os_process INTEGER NOT NULL,
    version TEXT NOT NULL,
    -- A JSON array.
    queues TEXT NOT NULL,
    slots INTEGER NOT NULL,
    slots_used INTEGER NOT NULL DEFAULT 0,
    lease INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    heard_at INTEGER NOT NULL,
    lapses_at INTEGER NOT NULL,
    -- Once it was found so: a clock that is set back does not bring it back.
    lapsed INTEGER NOT NULL DEFAULT 0,
    -- Changes when something may have come about for it.
    news INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Where processes belong that do not belong to the queue without a name, or have a priority.
CREATE TABLE placement (
    id INTEGER PRIMARY KEY REFERENCES process (id),
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL
) STRICT;

-- What workers know of each process that has not ended. It is made when the first of them joins, so that one owner, who
-- needs nothing of it, writes nothing of it; and a step leaves it as it is.
CREATE TABLE share (
    id INTEGER PRIMARY KEY REFERENCES process (id),
    -- The epoch of the worker that has it, whether or not its lease has lapsed. Nobody is 0.
    owner INTEGER NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    -- Since the last boundary: workers that it was lost with, and with them those that could not load it.
    losses INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- When it can go on: a time, 0 where it can at once or its time has come, the greatest number where no time brings it.
    -- None while parked.
    due INTEGER
) STRICT;
-- Of each queue, those that were lost with their workers as often as `limits::SUSPECT` stand apart from the others: a claim
-- takes one of them at most, and does not go through the rest.
CREATE INDEX share_ready ON share (owner, queue, min(losses, 2), priority DESC, id) WHERE due = 0;
-- Those that wait for a time; what no time brings stands behind them all.
CREATE INDEX share_waiting ON share (owner, queue, due) WHERE due > 0;
CREATE INDEX share_owned ON share (owner) WHERE owner <> 0;
-- There are few of them: it is as good as empty.
CREATE INDEX share_suspect ON share (owner) WHERE losses >= 2;
