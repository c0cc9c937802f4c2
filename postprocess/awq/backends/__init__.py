"""Programs that quantise, each run by the interpreter of the environment that holds its library."""
