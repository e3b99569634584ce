-- Confirmations in one statement: keys claimed, guardians checked, lessons moved, fees posted, answers kept.
-- Functions keep their plans per connection, often made while the tables are small; these must still be good when they have grown.

-- Claims keys, each for itself and in their order: `ours` to do; `stored` with the answer of the work that was done;
-- `running` elsewhere, or earlier in this list; `other_request` where the key stands for one.
CREATE FUNCTION idempotency_claim(p_locks bigint[], p_principals text[], p_keys text[], p_routes text[], p_bodies bytea[])
RETURNS TABLE (claim text, status smallint, body text)
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_free boolean[];
BEGIN
    SELECT array_agg(pg_try_advisory_xact_lock(u.number) ORDER BY u.i) INTO v_free FROM unnest(p_locks) WITH ORDINALITY AS u(number, i);
    -- A statement of its own: its snapshot begins after the locks were taken, so it sees what the last holders committed.
    RETURN QUERY
    SELECT CASE
            WHEN NOT v_free[u.i] THEN 'running'
            WHEN k.key IS NULL THEN CASE WHEN u.i > min(u.i) OVER (PARTITION BY u.number) THEN 'running' ELSE 'ours' END
            WHEN k.route <> u.route OR k.body_sha256 <> u.body THEN 'other_request'
            ELSE 'stored'
        END, k.status, k.body
    FROM unnest(p_locks, p_principals, p_keys, p_routes, p_bodies) WITH ORDINALITY AS u(number, principal, key, route, body, i)
    LEFT JOIN idempotency_key k ON k.principal = u.principal AND k.key = u.key
    ORDER BY u.i;
END $$;

-- Closes those paid contracts, already locked, of which escrow holds nothing any more.
CREATE FUNCTION contracts_close_done(p_contracts uuid[], p_now timestamptz) RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
    UPDATE contract c SET status = 'closed', ended_at = p_now
    WHERE c.id = ANY (p_contracts) AND c.status = 'paid' AND NOT EXISTS (
        SELECT FROM lesson l WHERE l.contract_id = c.id AND l.status IN ('scheduled', 'missed', 'delivered', 'disputed'))
    RETURNING c.id;
END $$;

-- Moves lessons, locked with their contracts, to confirmed and their fees from escrow to payable, each with its cause row.
CREATE FUNCTION lessons_release(
    p_lessons uuid[], p_releases uuid[], p_transfers uuid[], p_guardians uuid[], p_disputes uuid[], p_actors text[],
    p_now timestamptz, p_final_at timestamptz, p_business_on date, p_clock timestamptz
) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_contracts uuid[];
    v_books uuid[];
    v_escrows text[];
    v_fees bigint[];
    v_same int[] := ARRAY[cardinality(p_lessons)];
BEGIN
    WITH released AS (
        SELECT u.*, l.contract_id, l.institution_id, l.payment_id, l.price_fen
        FROM unnest(p_lessons, p_releases, p_guardians, p_disputes) WITH ORDINALITY AS u(lesson_id, id, confirmed_by, dispute_id, i)
        JOIN lesson l ON l.id = u.lesson_id
    ), moved AS (
        UPDATE lesson SET status = 'confirmed', changed_at = p_now WHERE id = ANY (p_lessons)
    ), caused AS (
        INSERT INTO release (id, lesson_id, institution_id, payment_id, amount_fen, confirmed_by, dispute_id, released_at, final_at)
        SELECT id, lesson_id, institution_id, payment_id, price_fen, confirmed_by, dispute_id, p_now, p_final_at FROM released
    )
    SELECT array_agg(DISTINCT contract_id), array_agg(institution_id ORDER BY i), array_agg('escrow:' || payment_id ORDER BY i),
        array_agg(price_fen ORDER BY i)
    INTO v_contracts, v_books, v_escrows, v_fees FROM released;

    PERFORM contracts_close_done(v_contracts, p_now);

    PERFORM ledger_post(
        p_transfers, array_fill('lesson_released'::text, v_same), p_releases::text[], v_books, v_escrows, array_fill('payable'::text, v_same),
        v_fees, array_fill(p_now, v_same), array_fill(p_business_on, v_same), array_fill(p_business_on, v_same),
        array_fill(NULL::uuid, v_same), array_fill(NULL::bytea, v_same), p_actors, NULL, p_clock);
END $$;

-- What a guardian's confirmation does to a lesson in this state; only `confirmed` changes it.
CREATE FUNCTION lessons_outcome(p_status text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE p_status
    WHEN 'delivered' THEN 'confirmed'
    WHEN 'confirmed' THEN 'already_confirmed'
    WHEN 'disputed' THEN 'disputed'
    WHEN 'refunded' THEN 'refunded'
    ELSE 'not_delivered'
END;

-- Confirms lessons for guardians, pair by pair: outcome and released fee for each in its place. Somebody else's child's lesson and
-- an absent one are `not_found`; of two who ask for one lesson the first confirms it.
CREATE FUNCTION lessons_confirm(
    p_guardians uuid[], p_lessons uuid[], p_actors text[], p_releases uuid[], p_transfers uuid[],
    p_now timestamptz, p_final_at timestamptz, p_business_on date, p_clock timestamptz
) RETURNS TABLE (outcome text, released_fen bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_outcomes text[] := array_fill('not_found'::text, ARRAY[cardinality(p_lessons)]);
    v_fees bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_lessons)]);
    v_confirmed int[];
    v_last uuid;
    v_locked record;
BEGIN
    PERFORM FROM contract c WHERE c.id IN (
        SELECT l.contract_id FROM unnest(p_guardians, p_lessons) AS asked(guardian_id, lesson_id)
        JOIN lesson l ON l.id = asked.lesson_id
        JOIN guardianship g ON g.student_id = l.student_id AND g.guardian_id = asked.guardian_id
    ) ORDER BY c.id FOR NO KEY UPDATE;

    FOR v_locked IN
        SELECT asked.i, l.id, lessons_outcome(l.status) AS outcome, l.price_fen
        FROM unnest(p_guardians, p_lessons) WITH ORDINALITY AS asked(guardian_id, lesson_id, i)
        JOIN lesson l ON l.id = asked.lesson_id
        JOIN guardianship g ON g.student_id = l.student_id AND g.guardian_id = asked.guardian_id
        ORDER BY l.id, asked.i FOR NO KEY UPDATE OF l
    LOOP
        IF v_locked.outcome <> 'confirmed' THEN
            v_outcomes[v_locked.i] := v_locked.outcome;
        ELSIF v_locked.id = v_last THEN
            v_outcomes[v_locked.i] := 'already_confirmed';
        ELSE
            v_outcomes[v_locked.i] := 'confirmed';
            v_fees[v_locked.i] := v_locked.price_fen;
            v_confirmed := v_confirmed || v_locked.i::int;
            v_last := v_locked.id;
        END IF;
    END LOOP;

    IF v_confirmed IS NOT NULL THEN
        PERFORM lessons_release(
            array_agg(p_lessons[i]), array_agg(p_releases[i]), array_agg(p_transfers[i]), array_agg(p_guardians[i]),
            array_agg(NULL::uuid), array_agg(p_actors[i]), p_now, p_final_at, p_business_on, p_clock)
        FROM unnest(v_confirmed) AS i;
    END IF;
    RETURN QUERY SELECT * FROM unnest(v_outcomes, v_fees);
END $$;

-- The wishes of several guardians, each under its key: claims the keys, confirms the lessons of those that are ours to do, and keeps
-- their answers. p_wishes says for each lesson whose wish it is, by its place from 1; the lessons of a wish stand together.
CREATE FUNCTION lessons_confirm_once(
    p_locks bigint[], p_principals text[], p_keys text[], p_routes text[], p_bodies bytea[],
    p_wishes int[], p_guardians uuid[], p_lessons uuid[], p_releases uuid[], p_transfers uuid[],
    p_now timestamptz, p_final_at timestamptz, p_business_on date, p_clock timestamptz
) RETURNS TABLE (claim text, status smallint, body text)
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_claims text[];
    v_statuses smallint[];
    v_answers text[];
    v_ours int[];
    v_answer record;
BEGIN
    SELECT array_agg(c.claim ORDER BY c.i), array_agg(c.status ORDER BY c.i), array_agg(c.body ORDER BY c.i)
    INTO v_claims, v_statuses, v_answers
    FROM idempotency_claim(p_locks, p_principals, p_keys, p_routes, p_bodies) WITH ORDINALITY AS c(claim, status, body, i);

    SELECT array_agg(i) INTO v_ours FROM generate_subscripts(p_lessons, 1) AS i WHERE v_claims[p_wishes[i]] = 'ours';

    FOR v_answer IN
        WITH asked AS (
            SELECT array_agg(p_guardians[i]) AS guardians, array_agg(p_lessons[i]) AS lessons, array_agg(p_principals[p_wishes[i]]) AS actors,
                array_agg(p_releases[i]) AS releases, array_agg(p_transfers[i]) AS transfers
            FROM unnest(v_ours) AS i HAVING count(*) > 0
        ), told AS (
            SELECT v_ours[c.n] AS i, c.outcome, c.released_fen
            FROM asked, lessons_confirm(
                asked.guardians, asked.lessons, asked.actors, asked.releases, asked.transfers, p_now, p_final_at, p_business_on, p_clock
            ) WITH ORDINALITY AS c(outcome, released_fen, n)
        )
        SELECT p_wishes[told.i] AS wish, json_build_object('items', json_agg(json_build_object(
            'lesson_id', p_lessons[told.i], 'outcome', told.outcome, 'released_fen', told.released_fen) ORDER BY told.i))::text AS body
        FROM told GROUP BY p_wishes[told.i]
    LOOP
        v_statuses[v_answer.wish] := 200;
        v_answers[v_answer.wish] := v_answer.body;
    END LOOP;

    INSERT INTO idempotency_key (principal, key, route, body_sha256, status, body, created_at)
    SELECT p_principals[i], p_keys[i], p_routes[i], p_bodies[i], v_statuses[i], v_answers[i], p_now
    FROM generate_subscripts(p_keys, 1) AS i WHERE v_claims[i] = 'ours';

    RETURN QUERY SELECT * FROM unnest(v_claims, v_statuses, v_answers);
END $$;

GRANT EXECUTE ON FUNCTION
    idempotency_claim, contracts_close_done, lessons_release, lessons_outcome, lessons_confirm, lessons_confirm_once TO escrow_app;
