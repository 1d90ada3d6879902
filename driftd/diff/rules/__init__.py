"""Differences that do not count: built-in rules, a user's ignore rules, and trusted managers."""
