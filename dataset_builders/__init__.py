"""From published raw files to one mixed file of chat rows: sources -> tasks -> blend."""
