"""How this board is: what is looked at (``looks``), what is wrong with it (``ailments``), and what
is asked beside that for doctor and status (``examination``)."""
