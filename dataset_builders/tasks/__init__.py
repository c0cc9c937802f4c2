"""One dataset per file; see ``dataset_builders.task``."""
