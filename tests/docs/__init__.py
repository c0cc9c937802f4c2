"""docs/ and README.md, held to what they say."""
