CREATE TABLE IF NOT EXISTS retention_holds (
    id UUID NOT NULL DEFAULT gen_random_uuid(),
    incident_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    "by" TEXT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    ended_by TEXT,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX IF NOT EXISTS retention_holds_standing ON retention_holds (incident_id) WHERE ended_at IS NULL;
