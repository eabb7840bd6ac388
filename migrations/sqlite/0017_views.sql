-- Saved views of lists.
CREATE TABLE view (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '[]',
    commit_number INTEGER NOT NULL DEFAULT 1
) STRICT;
-- What was done with a token is looked up by whoever did it: `actor:token:admin`, and `actor:token:*` for all of them.
INSERT OR IGNORE INTO event_key SELECT seq >> 8, 'actor:' || actor, kind, seq FROM event WHERE actor LIKE 'token:%';
INSERT OR IGNORE INTO event_key SELECT seq >> 8, 'actor:token:*', kind, seq FROM event WHERE actor LIKE 'token:%';
