-- Texts that machines were served under their runs, each once, without secrets (docs/adr/0027).
CREATE TABLE document (
    digest TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the text
    kept_bytes INTEGER NOT NULL,      -- length of the content
    content BLOB NOT NULL             -- the text, as zlib has it (RFC 1950)
) STRICT;
CREATE INDEX document_kept_bytes ON document (kept_bytes);

-- Which text was served when, for the first time in a boot attempt or job. Without a digest the text is not kept,
-- and the note says why.
CREATE TABLE served_document (
    run TEXT NOT NULL,
    path TEXT NOT NULL,
    attempt TEXT NOT NULL,       -- id of the boot attempt; empty without one
    job TEXT NOT NULL,           -- id of the job that a file of a task belongs to; empty without one
    digest TEXT NOT NULL,
    machine TEXT NOT NULL,
    served_at INTEGER NOT NULL,  -- microseconds since 1970
    bytes INTEGER NOT NULL,      -- of the text
    kept_bytes INTEGER NOT NULL, -- length of the content
    covered INTEGER NOT NULL,    -- 1 where secrets stand as `(sealed)`
    note TEXT NOT NULL,
    PRIMARY KEY (run, path, attempt, job, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX served_document_digest ON served_document (digest);
