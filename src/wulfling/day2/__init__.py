"""A cluster's second day and all that follow: people, what they use, boards that come and go."""
