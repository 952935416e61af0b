COMMENT ON TABLE ops.masking_key IS
    'One row: the key of all tokens of customers, numbers, names and e-mails. Whoever reads it can try out which number a '
    'token stands for, so no role of a BI tool may. Another key gives every customer another customer_id';
COMMENT ON COLUMN ops.masking_key.key IS 'The key: 32 random bytes, made by the first migration';
COMMENT ON COLUMN ops.masking_key.inner_key IS 'The key as the inner hash of HMAC-SHA-256 takes it';
COMMENT ON COLUMN ops.masking_key.outer_key IS 'The key as the outer hash of HMAC-SHA-256 takes it';
