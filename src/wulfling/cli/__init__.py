"""The edge: the only place that prints, prompts, reads the command line and exits."""
