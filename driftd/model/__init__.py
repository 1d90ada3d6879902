"""The nouns. Nothing here imports another room of driftd."""
