-- Closes those contracts, already locked, of which escrow holds nothing any more and nothing is still to be paid.
CREATE OR REPLACE FUNCTION contracts_close_done(p_contracts uuid[], p_now timestamptz) RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
    UPDATE contract c SET status = 'closed', ended_at = p_now
    WHERE c.id = ANY (p_contracts) AND c.status IN ('agreed', 'paid') AND NOT EXISTS (
        SELECT FROM lesson l WHERE l.contract_id = c.id AND l.status IN ('scheduled', 'missed', 'delivered', 'disputed')
    ) AND NOT EXISTS (SELECT FROM charge h WHERE h.contract_id = c.id AND h.status = 'planned')
    RETURNING c.id;
END $$;

GRANT SELECT, INSERT ON charge TO escrow_app;
GRANT UPDATE (status, ended_at, to_confirm) ON charge TO escrow_app;
