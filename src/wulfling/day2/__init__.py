"""A cluster's second day and all that follow: nodes come, rest, start anew and go."""
