"""From an adapter to the model that is served: merged, padded, quantised, each result proven."""
