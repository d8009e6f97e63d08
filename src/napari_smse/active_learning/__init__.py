"""Which tiles to label next, which labels to doubt, and what further labels would bring."""
