"""One module per schema version. They are frozen: none uses the tables or types of today's driftd."""
