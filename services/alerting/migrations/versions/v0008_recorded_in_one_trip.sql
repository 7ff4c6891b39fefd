-- Locks incidents and mails for the rest of the transaction, if everything is still as it was seen: the incidents at
-- these revisions and with all their data, the mails under these leases. Else raises RK001.
CREATE OR REPLACE FUNCTION hold_unchanged(
    incident_ids text[], revisions bigint[], mails uuid[], leases uuid[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    held bigint;
BEGIN
    PERFORM FROM incidents AS i JOIN unnest(incident_ids, revisions) AS seen(id, revision) USING (id)
    WHERE i.revision = seen.revision AND NOT i.forgotten ORDER BY i.id FOR UPDATE OF i;
    GET DIAGNOSTICS held = ROW_COUNT;
    IF held <> cardinality(incident_ids) THEN
        RAISE EXCEPTION 'an incident has changed' USING ERRCODE = 'RK001';
    END IF;
    PERFORM FROM outbox AS o JOIN unnest(mails, leases) AS ours(id, lease) USING (id, lease)
    WHERE o.state IN ('due', 'recalled') ORDER BY o.id FOR UPDATE OF o;
    GET DIAGNOSTICS held = ROW_COUNT;
    IF held <> cardinality(mails) THEN
        RAISE EXCEPTION 'a mail is in other hands' USING ERRCODE = 'RK001';
    END IF;
    RETURN true;
END
$$
