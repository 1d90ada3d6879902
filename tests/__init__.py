"""Tests of driftd, and the machinery that they stand on."""
