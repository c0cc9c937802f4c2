"""The spine: click root, run folders, manifests, progress. No shopping domain in here."""
