-- Zones, lines and masks drawn on the page, and how long visits and stays in zones were.

ALTER TABLE event ADD COLUMN seconds double precision;
CREATE INDEX event_by_zone ON event (camera, zone, occurred_at) WHERE zone IS NOT NULL;

-- One row for each camera whose areas were ever edited. Areas that are NULL are those of the
-- configuration again; the version goes on counting, so that a tracker sees that too.
CREATE TABLE areas (
    camera      text PRIMARY KEY,
    version     bigint NOT NULL,
    areas       jsonb,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
