-- Sessions, visits, events, and the tracker's checkpoint. Times are UTC.

CREATE TABLE session (
    id          text PRIMARY KEY,
    camera      text NOT NULL,
    source      text NOT NULL,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz
);
CREATE INDEX session_by_camera ON session (camera, started_at);

CREATE TABLE visit (
    id              uuid PRIMARY KEY,
    camera          text NOT NULL,
    session         text NOT NULL REFERENCES session (id),
    number          integer NOT NULL,
    track           integer NOT NULL,
    entered_at      timestamptz NOT NULL,
    entered_seq     integer NOT NULL,
    entered_reason  text NOT NULL,
    exited_at       timestamptz,
    exited_seq      integer,
    exited_reason   text,
    dwell_s         double precision,
    UNIQUE (session, number)
);
CREATE INDEX visit_by_time ON visit (entered_at, id);
CREATE INDEX visit_by_camera ON visit (camera, entered_at, id);

CREATE TABLE event (
    id            uuid PRIMARY KEY,
    camera        text NOT NULL,
    session       text NOT NULL REFERENCES session (id),
    visit         uuid NOT NULL REFERENCES visit (id),
    visit_number  integer NOT NULL,
    track         integer NOT NULL,
    kind          text NOT NULL,
    reason        text,
    ordinal       integer NOT NULL,
    seq           integer NOT NULL,
    t             double precision NOT NULL,
    occurred_at   timestamptz NOT NULL,
    confirmed_at  timestamptz NOT NULL,
    people        integer NOT NULL CHECK (people >= 0),
    zone          text,
    direction     text,
    -- The order of confirmation, for cursors.
    ord           bigint GENERATED ALWAYS AS IDENTITY UNIQUE
);
CREATE INDEX event_by_time ON event (occurred_at);
CREATE INDEX event_by_camera ON event (camera, occurred_at);
CREATE INDEX event_by_camera_ord ON event (camera, ord);
CREATE INDEX event_by_visit ON event (visit);

-- One row a camera: everything the tracker needs to go on after a crash.
CREATE TABLE checkpoint (
    camera      text PRIMARY KEY,
    session     text NOT NULL,
    seq         integer NOT NULL,
    position    text NOT NULL,
    state       bytea NOT NULL,
    -- Grows with every commit; a tracker whose copy is older has lost the camera to another.
    version     bigint NOT NULL,
    ended       boolean NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
