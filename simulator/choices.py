"""Words that a user chooses from, where the configuration and what it configures both check them."""

#: of an effective conductivity: what the sides along the current are
EFFECTIVE_SIDES = ("insulated", "periodic")
#: of a synthetic electrode: shapes of its particles, and what lies before and after them along z
KINDS = ("sphere", "irregular", "polycrystal")
ENDS = ("periodic", "walls")
#: of what is placed around particles: its texture, and where the pores lie that touch none
TEXTURES = ("blobs", "grains")
PORE_PLACES = ("random", "surface", "away")
