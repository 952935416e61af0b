"""The daemon's page: what the books and the warehouse hold, for a person who looks once."""
