CREATE TABLE suspects (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    place BIGINT DEFAULT '0' NOT NULL,
    attempts INTEGER NOT NULL,
    aside BOOLEAN DEFAULT false NOT NULL,
    retry_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (kind, key)
);

CREATE TABLE troubles (
    id UUID NOT NULL,
    recipient TEXT NOT NULL,
    about JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT DEFAULT 'due' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    attempt_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    lease UUID,
    answer TEXT,
    PRIMARY KEY (id)
);

CREATE INDEX ix_troubles_created_at ON troubles (created_at);

CREATE INDEX troubles_due ON troubles (created_at) WHERE state = 'due';
