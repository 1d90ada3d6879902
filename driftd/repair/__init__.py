"""From verdicts to a plan, and carrying it out."""
