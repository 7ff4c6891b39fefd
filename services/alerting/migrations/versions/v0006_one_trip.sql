-- Moves a partition's position, enters event ids and locks places, if everything is still as it was seen.
--
-- Each statement of a function sees what is committed when it begins: what others did before they let go of a place
-- is seen. Raises RK001 when anything is otherwise than it was seen; then nothing is done.
CREATE OR REPLACE FUNCTION begin_unchanged(
    of_topic text, of_partition integer, by_owner text, from_offset bigint, to_offset bigint, last_id text,
    at timestamptz, places text[], ids text[], digests text[], closed_after timestamptz,
    seen text[], versions bigint[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    entered bigint;
    found_ids text[];
    found_versions bigint[];
BEGIN
    UPDATE partitions SET next_offset = to_offset, last_event_id = coalesce(last_id, last_event_id)
    WHERE topic = of_topic AND partition = of_partition AND owner = by_owner AND next_offset = from_offset;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the partition has moved' USING ERRCODE = 'RK001';
    END IF;
    PERFORM pg_advisory_xact_lock(place)
    FROM (SELECT DISTINCT hashtextextended(p, 0) AS place FROM unnest(places) AS p ORDER BY 1) AS ordered;
    INSERT INTO events (id, digest, applied_at)
    SELECT e.id, e.digest, at FROM unnest(ids, digests) AS e(id, digest) ORDER BY e.id ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS entered = ROW_COUNT;
    IF entered <> cardinality(ids) OR EXISTS (SELECT FROM held WHERE incident_id = ANY(ids)) THEN
        RAISE EXCEPTION 'an event is known' USING ERRCODE = 'RK001';
    END IF;
    SELECT coalesce(array_agg(i.id ORDER BY i.id), '{}'), coalesce(array_agg(i.version ORDER BY i.id), '{}')
    INTO found_ids, found_versions
    FROM (
        SELECT id, xmin::text::bigint AS version FROM incidents
        WHERE merge_keys && places AND NOT imported AND (status <> 'closed' OR closed_at >= closed_after)
        ORDER BY id FOR UPDATE
    ) AS i;
    IF found_ids <> seen OR found_versions <> versions THEN
        RAISE EXCEPTION 'an incident has changed' USING ERRCODE = 'RK001';
    END IF;
    RETURN true;
END
$$
