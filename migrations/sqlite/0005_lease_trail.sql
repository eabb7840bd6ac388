-- Leases are written more often than all else, in no order of their keys. Their rows are only ever added, at
-- the end, where many share a page: the last row of a key counts, and a revision of 0 says that the lease is
-- gone. The writer moves what still counts from the beginning to the end and deletes what it left behind
-- (store/sqlite/trail.rs).
CREATE TABLE lease_trail (
    n INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL
) STRICT;
INSERT INTO lease_trail (key, revision, document, held) SELECT key, revision, document, held FROM lease;
DROP TABLE lease;
ALTER TABLE lease_trail RENAME TO lease;

-- Kinds are few: they are read off the index of subjects, and events have one index less to be written to.
DROP INDEX event_kind;
DROP INDEX event_subject;
CREATE INDEX event_subject ON event (seq >> 9, subject, kind);
