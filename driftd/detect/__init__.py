"""Detection: verdicts on declared objects against live ones, on their pods, and on orphans."""
