"""The state of sources in the database: leases, rate limits, runs, streams, lookbacks, quarantine and drift."""
