-- Pictures of the moments of events, where the gateway keeps them (api.snapshots).

CREATE TABLE snapshot (
    event    uuid PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE,
    jpeg     bytea NOT NULL,
    kept_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX snapshot_by_time ON snapshot (kept_at);
