"""Physical constants. Exact values of the 2019 SI (CODATA 2018)."""

F = 96485.33212331001  # Faraday constant [C mol^-1], N_A e
R = 8.31446261815324  # molar gas constant [J mol^-1 K^-1], N_A k_B
