-- One table for each kind of object: the key, the revision (its ETag), and the rest as one JSON document.

CREATE TABLE machine (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE bootenv (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE template (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE param (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE profile (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE stage (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE task (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE workflow (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE job (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE subnet (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE reservation (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE lease (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE artifact (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE setting (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE token (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

-- Values that no two objects of a kind may share: a machine's MAC addresses, its name. When a kind gets a
-- new such value, the migration that comes with it fills in what the stored objects hold.
CREATE TABLE unique_value (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (kind, name, value)
) STRICT, WITHOUT ROWID;

-- What happened, in the order of the commits. AUTOINCREMENT: the number of a pruned event never comes back.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL, -- microseconds since 1970
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor TEXT NOT NULL,
    attempt TEXT,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX event_subject ON event (subject, seq);
CREATE INDEX event_attempt ON event (attempt, seq) WHERE attempt IS NOT NULL;
CREATE INDEX event_kind ON event (kind, seq);

-- The log of a job in pieces without gaps or overlaps; it goes when the job goes.
CREATE TABLE job_log (
    job TEXT NOT NULL REFERENCES job (key) ON DELETE CASCADE,
    start INTEGER NOT NULL, -- offset of the first byte
    bytes BLOB NOT NULL,
    PRIMARY KEY (job, start)
) STRICT;
