-- Rows from before have no entries, and it takes longer to find what a list shows in three tables than to find the rows.
UPDATE class_search s SET entry = (
    SELECT json_build_object(
        'id', c.id, 'institution_id', c.institution_id, 'institution_name', i.name, 'kind', i.kind, 'mode', c.mode, 'name', c.name,
        'subject', c.subject, 'teacher_name', t.name, 'price_fen', c.price_fen, 'lesson_count', c.lesson_count, 'seats', c.seats,
        'starts_on', c.starts_on, 'ends_on', c.ends_on, 'hours', s.hours
    )
    FROM training_class c JOIN institution i ON i.id = c.institution_id JOIN teacher t ON t.id = c.teacher_id
    WHERE c.id = s.class_id
);

DROP FUNCTION search_classes(int[], text[], text, bigint, bigint, int, timestamptz, uuid, int);

-- The newest classes with all these marks and properties; what is NULL or empty is not asked for. Planned for every call with its values,
-- for the way to a word that every tenth class has is not the way to one that three have; what is not asked for is no part of the plan.
-- Cheap conditions stand first. What marks cannot say is looked for with strpos: for LIKE the planner would count the same words twice.
CREATE FUNCTION search_classes(
    p_marks int[], p_terms text[], p_place text, p_least_fen bigint, p_most_fen bigint, p_hours int, p_now timestamptz,
    p_before uuid, p_limit int
) RETURNS TABLE (class_id uuid, entry text) LANGUAGE plpgsql STABLE ROWS 20 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT s.class_id, s.entry FROM class_search s
    WHERE s.open_until > p_now
        AND (p_least_fen IS NULL OR s.price_fen >= p_least_fen)
        AND (p_most_fen IS NULL OR s.price_fen <= p_most_fen)
        AND (p_hours IS NULL OR s.hours & p_hours <> 0)
        AND (p_before IS NULL OR s.class_id < p_before)
        AND (p_marks = '{}' OR s.marks @> p_marks)
        AND (p_place IS NULL OR strpos(s.places, p_place) > 0)
        AND (p_terms[1] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[1]) > 0)
        AND (p_terms[2] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[2]) > 0)
        AND (p_terms[3] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[3]) > 0)
        AND (p_terms[4] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[4]) > 0)
        AND (p_terms[5] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[5]) > 0)
    ORDER BY s.class_id DESC LIMIT p_limit;
END $$;

-- The same for institutions, in the order of entry.
CREATE FUNCTION search_institutions(p_marks int[], p_terms text[], p_place text, p_after uuid, p_limit int)
RETURNS SETOF uuid LANGUAGE plpgsql STABLE ROWS 20 SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY SELECT s.institution_id FROM institution_search s
    WHERE (p_after IS NULL OR s.institution_id > p_after)
        AND (p_marks = '{}' OR s.marks @> p_marks)
        AND (p_place IS NULL OR strpos(s.places, p_place) > 0)
        AND (p_terms[1] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[1]) > 0)
        AND (p_terms[2] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[2]) > 0)
        AND (p_terms[3] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[3]) > 0)
        AND (p_terms[4] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[4]) > 0)
        AND (p_terms[5] IS NULL OR strpos(s.names || E'\n' || s.places, p_terms[5]) > 0)
    ORDER BY s.institution_id LIMIT p_limit;
END $$;

-- When a class usually meets is counted in another way, so all are looked at again.
INSERT INTO search_due (institution_id) SELECT DISTINCT institution_id FROM class_search;
