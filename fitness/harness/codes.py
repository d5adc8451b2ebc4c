"""Exit statuses by which a child says what went wrong; they choose a Failure's kind, never a score."""

CRASH_EXIT = 1
REFUSED_EXIT = 65  # it hands over or answers what it may not
OOM_EXIT = 66
