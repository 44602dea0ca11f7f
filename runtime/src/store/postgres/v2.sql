-- Several workers on one store: who they are, and which process is whose.

-- A worker's lease is one row, whatever it owns. Times are those of this server's clock.
CREATE TABLE worker (
    epoch bigint PRIMARY KEY,
    host bytea NOT NULL,
    os_process bigint NOT NULL,
    version bytea NOT NULL,
    queues bytea[] NOT NULL,
    slots bigint NOT NULL,
    slots_used bigint NOT NULL DEFAULT 0,
    lease interval NOT NULL,
    joined_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL,
    -- Before all times where an owner of the whole store has made it stale.
    lapses_at timestamptz NOT NULL
);

ALTER TABLE checkpoint
    -- The epoch of the worker that has it, whether or not its lease has lapsed. Nobody is 0, and not none, so that one
    -- index finds what is nobody's and what is of someone who is lost.
    ADD COLUMN owner bigint NOT NULL DEFAULT 0,
    ADD COLUMN queue bytea NOT NULL DEFAULT '',
    ADD COLUMN priority integer NOT NULL DEFAULT 0,
    -- Claims after a worker was lost, since the last boundary.
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    -- When what it awaits is over, but for its children: a time in milliseconds, 0 where it awaits nothing else, and the
    -- greatest number where only a request brings it.
    ADD COLUMN wakes bigint NOT NULL DEFAULT 0,
    -- Whether any of its children is open. A parent that waits is written when the last one ends, so that whoever claims
    -- need not look at all that wait.
    ADD COLUMN has_open boolean NOT NULL DEFAULT false;

UPDATE checkpoint SET has_open = true WHERE id IN (SELECT parent FROM open_child);

DO $$
DECLARE
    row record;
    awaited json;
BEGIN
    FOR row IN SELECT id, awaiting FROM checkpoint WHERE ended IS NULL AND awaiting <> '' LOOP
        BEGIN
            -- A text takes no NUL, and what it says does not matter here.
            awaited := replace(convert_from(row.awaiting, 'UTF8'), '\u0000', '\u0020')::json;
            UPDATE checkpoint SET wakes = CASE
                WHEN awaited -> 'resume' IS NOT NULL THEN 9223372036854775807
                WHEN awaited -> 'wake_at' IS NOT NULL THEN greatest((awaited -> 'wake_at')::text::bigint, 1)
                ELSE 0 END
            WHERE id = row.id;
        EXCEPTION WHEN OTHERS THEN
            -- Whoever claims one that is damaged tells of it.
            NULL;
        END;
    END LOOP;
END $$;

-- When it can go on: 0 is at once, and the greatest number never by itself. A step leaves it as it is, and so every index.
-- It tells of those that have ended and those that are parked, too, so that no other index seems as good to the planner as
-- those over it.
ALTER TABLE checkpoint ADD COLUMN due bigint NOT NULL GENERATED ALWAYS AS (
    CASE WHEN paused OR ended IS NOT NULL OR parked IS NOT NULL THEN 9223372036854775807
        WHEN state <> 'waiting' THEN 0 WHEN has_open THEN 9223372036854775807 ELSE wakes END
) STORED;

CREATE INDEX checkpoint_ready ON checkpoint (owner, queue, priority DESC, id) WHERE due = 0;
CREATE INDEX checkpoint_owned ON checkpoint (owner) WHERE owner <> 0 AND ended IS NULL;

-- Ends a transaction that may not be committed any more.
CREATE FUNCTION stale() RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the lease has lapsed' USING ERRCODE = 'PRC01'; END $$;
