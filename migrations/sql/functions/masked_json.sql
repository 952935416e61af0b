-- Value by value, so that no text is ever read as JSON and no error can show one. An item may be {"name": "phone", "value": …}.
CREATE OR REPLACE FUNCTION warehouse.masked_json(
    value jsonb, is_personal boolean, customer_name text, inner_key bytea, outer_key bytea, level integer DEFAULT 0
) RETURNS jsonb LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000 SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text := jsonb_typeof(value);
    name text;
    masked jsonb;
    item record;
BEGIN
    IF kind IN ('object', 'array') AND level > 20 THEN
        RETURN '"[hidden]"';
    ELSIF kind = 'object' THEN
        masked := '{}';
        name := coalesce(value ->> 'name', value ->> 'key', value ->> 'field', value ->> 'label', '');
        FOR item IN SELECT * FROM jsonb_each(value) LOOP
            masked := masked || jsonb_build_object(
                warehouse.blank_text(item.key, customer_name),
                warehouse.masked_json(item.value, is_personal OR CASE
                    WHEN item.key IN ('value', 'answer') THEN warehouse.is_personal_key(name)
                    WHEN item.key = 'name' AND value ? 'value' THEN false
                    ELSE warehouse.is_personal_key(item.key) END,
                    customer_name, inner_key, outer_key, level + 1));
        END LOOP;
        RETURN masked;
    ELSIF kind = 'array' THEN
        masked := '[]';
        FOR item IN SELECT element FROM jsonb_array_elements(value) element LOOP
            masked := masked || jsonb_build_array(
                warehouse.masked_json(item.element, is_personal, customer_name, inner_key, outer_key, level + 1));
        END LOOP;
        RETURN masked;
    ELSIF kind = 'string' OR (kind = 'number' AND is_personal AND (
            warehouse.is_long_number(value #>> '{}') OR abs(value::numeric) >= 10000)) THEN
        RETURN to_jsonb(warehouse.masked_item(value #>> '{}', is_personal, customer_name, inner_key, outer_key));
    ELSIF kind = 'number' AND warehouse.is_long_number(value #>> '{}') THEN
        RETURN '"[number]"';
    END IF;
    RETURN value;
END
$$;

COMMENT ON FUNCTION warehouse.masked_json(jsonb, boolean, text, bytea, bytea, integer) IS
    'A JSON value of a call without personal data: values under keys that name a person, a number or an address become '
    'tokens, other texts and the keys lose numbers and names, and numbers of seven digits or more are blanked';
