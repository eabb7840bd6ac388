-- The request of the API that brought an event about. It is looked up in event_key, as `request:ID`.
ALTER TABLE event ADD COLUMN request_id TEXT;
