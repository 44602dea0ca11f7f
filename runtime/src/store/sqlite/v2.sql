-- Saved listeners, and which inputs a default filled in. Neither changes at a boundary, as a rule.
ALTER TABLE process ADD COLUMN defaulted TEXT;
ALTER TABLE process ADD COLUMN listeners TEXT;
