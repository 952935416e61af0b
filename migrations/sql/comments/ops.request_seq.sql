COMMENT ON SEQUENCE ops.request_seq IS
    'Numbers every request to a provider, of all sources, in the order in which they are sent';
