-- Whether a worker was asked to drain.
ALTER TABLE worker ADD COLUMN drains INTEGER NOT NULL DEFAULT 0;
