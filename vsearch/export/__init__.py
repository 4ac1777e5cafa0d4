"""Export moments as clips, cut lists and edit decision lists."""
