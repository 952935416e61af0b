"""What every command needs: clock, logs, redaction, secrets, signals, tracing."""
