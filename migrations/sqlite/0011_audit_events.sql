-- What people and programs with a token did, after the other events of that time were pruned (docs/adr/0033). The rows
-- come from the table of events when those before them go, so every number here is below every number there.
CREATE TABLE audit_event (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL, -- microseconds since 1970
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor TEXT NOT NULL,
    attempt TEXT,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX audit_event_subject ON audit_event (subject, seq);
