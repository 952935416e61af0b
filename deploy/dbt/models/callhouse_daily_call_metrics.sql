SELECT * FROM {{ source('callhouse', 'daily_call_metrics') }}
