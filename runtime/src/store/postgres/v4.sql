-- Processes that may kill their workers, and those that were parked.

-- Those of the attempts that were claims after a worker was lost, since the last boundary.
ALTER TABLE checkpoint ADD COLUMN losses integer NOT NULL DEFAULT 0;

-- Of each queue, those that were lost with their workers as often as `limits::SUSPECT` stand apart from the others: a claim
-- takes one of them at most, and does not go through the rest.
DROP INDEX checkpoint_ready;
CREATE INDEX checkpoint_ready ON checkpoint (owner, queue, (least(losses, 2)), priority DESC, id) WHERE due = 0;
-- Those that wait for a time, and for nothing else.
CREATE INDEX checkpoint_waiting ON checkpoint (owner, queue, (least(losses, 2)), due)
    WHERE due > 0 AND due < 9223372036854775807;
-- There are few of them: it is as good as empty.
CREATE INDEX checkpoint_suspect ON checkpoint (owner) WHERE losses >= 2 AND ended IS NULL AND parked IS NULL;
-- With `checkpoint_unfinished`, all that have not ended.
CREATE INDEX checkpoint_parked ON checkpoint (id) WHERE ended IS NULL AND parked IS NOT NULL;

-- Which of its creations a transaction has made, by their places, where it does not know before.
ALTER TABLE outcome ADD COLUMN created bigint[];
