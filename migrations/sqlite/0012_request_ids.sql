-- The request of the API that brought an event about. For events of the table `event` it is looked up in event_key, as
-- `request:ID`; audit events that outlived the others of their time are fewer, and scanned.
ALTER TABLE event ADD COLUMN request_id TEXT;
ALTER TABLE audit_event ADD COLUMN request_id TEXT;
