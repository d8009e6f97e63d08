"""Many slides: found, scored by this process or by workers, resumed, and put where they belong."""
