"""``make demo``: a miner and two workers as real processes seal four sectors, simulated and sped up, before your eyes."""
