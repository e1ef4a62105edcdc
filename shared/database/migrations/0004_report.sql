-- The schema report: what dashboards and your own queries may rely on. Its columns stay as they are;
-- new ones may be added at the end. docs/dashboards.md describes it. The tables beneath may change.

-- Where it is there already, an administrator has made it for a user without rights on the database.
DO $$ BEGIN
  IF to_regnamespace('report') IS NULL THEN CREATE SCHEMA report; END IF;
END $$;
CREATE INDEX visit_by_exit ON visit (exited_at);

-- One row a visit. exited_at, exited_reason and dwell_s are null while somebody is still there.
CREATE VIEW report.visit AS
SELECT visit.id, visit.camera, session.source, visit.session, visit.number,
  visit.entered_at, visit.entered_reason, visit.exited_at, visit.exited_reason, visit.dwell_s
FROM visit JOIN session ON session.id = visit.session;

-- One row an event. zone: the zone's or line's name; direction: that of a line crossed;
-- seconds: how long a visit or a stay in a zone was.
CREATE VIEW report.event AS
SELECT event.id, event.occurred_at AS time, event.confirmed_at, event.camera, event.kind,
  event.reason, event.people, event.zone, event.direction, event.seconds, event.visit
FROM event;

-- One row a stay in a zone that has ended.
CREATE VIEW report.zone_stay AS
SELECT event.camera, event.zone, event.occurred_at - make_interval(secs => event.seconds) AS entered_at,
  event.occurred_at AS exited_at, event.seconds, event.visit
FROM event WHERE event.kind = 'zone_exited' AND event.seconds IS NOT NULL;

-- One row a crossing of a line.
CREATE VIEW report.crossing AS
SELECT event.camera, event.zone AS line, event.direction, event.occurred_at AS time, event.visit
FROM event WHERE event.kind = 'line_crossed';

-- One row a camera that was ever watched: who is there, and up to when that is known.
CREATE VIEW report.camera AS
SELECT checkpoint.camera, session.source, checkpoint.updated_at AS followed_at,
  (SELECT count(*)::int FROM visit
   WHERE visit.camera = checkpoint.camera AND visit.exited_at IS NULL) AS people,
  (SELECT max(event.occurred_at) FROM event WHERE event.camera = checkpoint.camera) AS last_event_at
FROM checkpoint LEFT JOIN session ON session.id = checkpoint.session;

-- Most people at once in each step of time, one row a camera and step.
CREATE FUNCTION report.occupancy(
  cameras text[], since timestamptz, until timestamptz, step interval
) RETURNS TABLE ("time" timestamptz, camera text, people integer)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH grid AS (
  -- Whole seconds, and no more than 5000 steps, however the question is put.
  SELECT greatest(1, ceil(extract(epoch FROM step)), ceil(extract(epoch FROM until - since) / 5000))::int AS s
), stay AS (
  SELECT v.camera, v.entered_at, v.exited_at FROM report.visit AS v
  WHERE v.camera = ANY (cameras) AND v.entered_at < until
    AND (v.exited_at IS NULL OR v.exited_at >= since)
), horizon AS (
  -- Time to come says nothing; a file played faster than life lies in it all the same.
  SELECT least(until, greatest(now(), max(coalesce(stay.exited_at, stay.entered_at)))) AS ends FROM stay
), change AS (
  SELECT deltas.camera, deltas.at, sum(deltas.delta) AS delta FROM (
    SELECT stay.camera, greatest(stay.entered_at, since) AS at, 1 AS delta FROM stay
    UNION ALL SELECT stay.camera, stay.exited_at, -1 FROM stay WHERE stay.exited_at < until
    UNION ALL SELECT name, starts, 0 FROM unnest(cameras) AS name, grid, horizon,
      generate_series(since, horizon.ends, make_interval(secs => grid.s)) AS starts
  ) AS deltas WHERE deltas.at < until GROUP BY 1, 2
), level AS (
  SELECT change.camera, change.at, sum(change.delta) OVER (PARTITION BY change.camera ORDER BY change.at) AS people
  FROM change
)
SELECT since + make_interval(secs => floor(extract(epoch FROM level.at - since) / grid.s) * grid.s),
  level.camera, max(level.people)::int
FROM level, grid GROUP BY 1, 2 ORDER BY 1, 2
$$;

-- Whoever may log in to this database may read these, and nothing else of it.
GRANT USAGE ON SCHEMA report TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA report TO PUBLIC;
