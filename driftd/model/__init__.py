"""The nouns of driftd. This package imports no other package of driftd."""
