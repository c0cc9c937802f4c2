"""The whole recipe as a graph of commands: what there is to do, what of it is stale, how long it will take."""
