"""``python -m wulfling`` is the same as ``wulfling``."""

from wulfling.cli.main import run

run()
