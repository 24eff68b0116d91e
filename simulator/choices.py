"""Words that a user chooses from, and limits, where the configuration and what it configures both check them."""

#: of the weights that turn voxel faces into true area: from the smoothed mask of all particles, of each particle alone,
#: those scaled to the Crofton area of each particle, or none (voxel faces as they are)
AREAS = ("smoothed", "particles", "rescaled", "raw")
#: of an effective conductivity: what the sides along the current are
EFFECTIVE_SIDES = ("insulated", "periodic")
#: of a synthetic electrode: shapes of its particles, and what lies before and after them along z
KINDS = ("sphere", "irregular", "polycrystal")
ENDS = ("periodic", "walls")
#: widest log-normal of their sizes: d90 / d10 is 6 there, more than that of sieved or milled powders
MAX_SPREAD = 0.7
#: of irregular ones, relative to the radius; more looks like no powder
MAX_ROUGHNESS = 0.25
#: of what is placed around particles: its texture, and where the pores lie that touch none
TEXTURES = ("blobs", "grains")
PORE_PLACES = ("random", "surface", "away")
#: law of the electrolyte's oxidation on the active material
DECOMPOSITION_LAWS = ("none", "delithiation", "shifted_onset", "reaction_energy")
#: most voxels of an electrode that is made or resampled here: some 30 GB of memory
MAX_VOXELS = 500_000_000

#: How a fit goes to its minimum, and how it counts large deviations.
FIT_METHODS = ("least_squares", "l-bfgs-b")
FIT_LOSSES = ("linear", "soft_l1", "huber", "cauchy")
