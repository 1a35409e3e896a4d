"""What is done with a cluster that is there: its people, and what they use of it."""
