SELECT * FROM {{ source('callhouse', 'calls') }}
