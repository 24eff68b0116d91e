"""Canonical phase codes of an electrode image."""

PORE, AM, CBD, ELECTROLYTE = 0, 1, 2, 3

#: name -> canonical code. User images may use any codes; they are mapped to these once, at the edge.
PHASES = {"pore": PORE, "am": AM, "cbd": CBD, "electrolyte": ELECTROLYTE}
IONIC = (CBD, ELECTROLYTE)  # phases that carry ions
ELECTRONIC = (AM, CBD)  # phases that carry electrons
