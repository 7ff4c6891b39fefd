ALTER TABLE incidents
    ADD COLUMN source TEXT GENERATED ALWAYS AS (state ->> 'source') STORED,
    ADD COLUMN category TEXT GENERATED ALWAYS AS (state ->> 'category') STORED,
    ADD COLUMN danger_level SMALLINT GENERATED ALWAYS AS ((state ->> 'danger_level')::smallint) STORED,
    ADD COLUMN outcome TEXT GENERATED ALWAYS AS (state #>> '{closing,outcome}') STORED,
    ADD COLUMN reported_at JSONB GENERATED ALWAYS AS (jsonb_path_query_array(state, '$.reports[*].at')) STORED,
    ADD COLUMN called_at JSONB GENERATED ALWAYS AS (jsonb_path_query_array(state, '$.calls[*].at')) STORED,
    ADD COLUMN handed_over_at JSONB GENERATED ALWAYS AS (jsonb_path_query_array(state, '$.hand_overs[*].at')) STORED,
    ADD COLUMN handed_over_on JSONB GENERATED ALWAYS AS (jsonb_path_query_array(state, '$.hand_overs[*].on')) STORED;

CREATE INDEX incidents_opened ON incidents (opened_at);

CREATE INDEX incidents_handed_over ON incidents (id) WHERE handed_over_on <> '[]';

CREATE INDEX inputs_acknowledged ON inputs (incident_id, at) WHERE reason = 'acknowledged';
