"""What runs on a board: standard library only, Python 3.10+, shipped as one zip over SSH."""
