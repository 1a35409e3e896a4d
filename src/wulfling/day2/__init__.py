"""A cluster's second day and all that follow: nodes and people come, rest and go."""
