-- By its last word: customer_name, phoneNumber, email_id and address line 2, but not name_spelled or agent_name.
CREATE OR REPLACE FUNCTION warehouse.is_personal_key(key text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 200
    RETURN '_' || lower(regexp_replace(regexp_replace($1, '([a-z0-9])([A-Z])', '\1_\2', 'g'), '[\s_.-]+', '_', 'g')) ~ (
        '^(?!_(?:agent|bot|assistant|campaign|voice|voicemail|model|file|event|function|tool|template|flow|intent))'
        '.*(?:name|phone|mobile|number|e?mail|address|contact|whatsapp|surname|msisdn|birth|birthday|'
        'street|postcode|pincode|passport|aadhaa?r|नाम|फोन|फ़ोन|मोबाइल|नंबर|पता|ईमेल|'
        '_(?:tel|telephone|cell|fax|dob|ssn|iban|pan|zip|pin|customer|client|patient|caller|callee|user|person|'
        'father|mother|spouse|husband|wife))s?'
        '(?:_?(?:no|num|id|line|value|text|raw|e164|full|first|last|primary|code|of_birth|[0-9]+))*$');

COMMENT ON FUNCTION warehouse.is_personal_key(text) IS
    'Whether the key of a value in JSON says that it is a person, a number, an e-mail or a postal address';
