-- A checkpoint is written once a second and camera. It stays in its row (no TOAST table, whose chunks
-- would have to be written and deleted each time), and pages are left free, so that the next version of
-- the row finds room beside the old one and no index is touched (a HOT update). It is compressed already.
ALTER TABLE checkpoint ALTER COLUMN state SET STORAGE MAIN;
ALTER TABLE checkpoint SET (fillfactor = 10, toast_tuple_target = 8160);

-- An event belongs to a session by its visit; checked twice it costs an index when sessions are removed.
ALTER TABLE event DROP CONSTRAINT event_session_fkey;
