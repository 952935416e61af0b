"""Every call that your voice agents ever made, in one PostgreSQL warehouse."""

__version__ = "0.1.0"
