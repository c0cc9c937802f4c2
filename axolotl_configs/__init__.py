"""A blend, a profile and the recipe become one axolotl YAML; then axolotl trains on it."""
