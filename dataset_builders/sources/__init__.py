"""One reader per published source: raw file -> typed rows, streamed. Each names its licence."""
