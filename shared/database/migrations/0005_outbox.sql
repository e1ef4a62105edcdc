-- Events that somebody is yet to be told of (MQTT, webhooks). Written in the transaction that writes
-- the event; deleted once the other side has acknowledged it.

CREATE TABLE outbox (
    ord          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination  text NOT NULL,
    event        uuid NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    attempts     integer NOT NULL DEFAULT 0,
    made_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (destination, event)
);
CREATE INDEX outbox_by_destination ON outbox (destination, ord);
