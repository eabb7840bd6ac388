-- What events are looked up by: their subject, and those that begin and end leases by address and by MAC as well. The
-- writer knows that (store/sqlite/events.rs); the indexes over expressions read the JSON of each event again, and each
-- index was a page of its own in the log for each commit. In parts of 256 events, so that what is written together
-- stands together; the kind is there so that events of other kinds are not read.
CREATE TABLE event_key (
    part INTEGER NOT NULL, -- event >> 8
    key TEXT NOT NULL,
    event_kind TEXT NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (part, key, event_kind, event)
) STRICT, WITHOUT ROWID;
INSERT INTO event_key SELECT seq >> 8, subject, kind, seq FROM event;
INSERT OR IGNORE INTO event_key SELECT seq >> 8, 'lease:' || (data ->> '$.address'), kind, seq FROM event
    WHERE kind IN ('dhcp.leased', 'dhcp.released', 'dhcp.expired', 'dhcp.declined', 'lease.imported', 'lease.deleted')
    AND json_valid(data) AND data ->> '$.address' IS NOT NULL;
INSERT OR IGNORE INTO event_key SELECT seq >> 8, data ->> '$.mac', kind, seq FROM event
    WHERE kind IN ('dhcp.leased', 'dhcp.released', 'dhcp.expired', 'dhcp.declined', 'lease.imported', 'lease.deleted')
    AND json_valid(data) AND data ->> '$.mac' IS NOT NULL;

-- The writer gives the numbers, and the newest event is never pruned: no number comes back without the table in
-- which AUTOINCREMENT keeps the last one, which was another page for each commit.
CREATE TABLE event_numbered (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL, -- microseconds since 1970
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor TEXT NOT NULL,
    attempt TEXT,
    data TEXT NOT NULL
) STRICT;
INSERT INTO event_numbered SELECT seq, time, kind, subject, actor, attempt, data FROM event;
DROP TABLE event;
ALTER TABLE event_numbered RENAME TO event;
CREATE INDEX event_attempt ON event (attempt, seq) WHERE attempt IS NOT NULL;
