"""The pass over one app: read, compare, decide, act, record. Level-based: whatever was missed, the next pass finds."""
