ALTER TABLE outbox ADD COLUMN via TEXT, ADD COLUMN crashes SMALLINT NOT NULL DEFAULT 0;

ALTER TABLE notices ADD COLUMN via TEXT;

CREATE TABLE mail_attempts (
    mail_id UUID NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    via TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    answer TEXT NOT NULL,
    PRIMARY KEY (mail_id, attempt, via)
);
