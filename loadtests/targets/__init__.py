"""How each compared server is prepared and started, and which of them a run takes."""
