-- Events that are removed because they are old take their rows here with them.
DROP INDEX CONCURRENTLY IF EXISTS outbox_by_event;
CREATE INDEX CONCURRENTLY outbox_by_event ON outbox (event);
